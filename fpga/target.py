# SPDX-License-Identifier: Apache-2.0
"""A device as the host sees it: what it is, its regions by name, its registers, its runs.

What it says of itself is checked before it is believed: the line may lead anywhere.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, TypeVar

from fpga.protocol import INFO, OWN_REGISTERS, REGISTER_BYTES, REGISTERS, VERSION, Region
from fpga.session import LinkError, Session
from hw.params import ParameterError, check_integer

__all__ = ["DeviceError", "Info", "Target"]

MAX_INFO_BYTES = 1 << 16

_LENGTH_BYTES = 4
_RUNS = 1 << 32

_Result = TypeVar("_Result")


class DeviceError(LinkError):
    """The device is another than what is asked of it; the message states the rule, then what is."""


@dataclasses.dataclass(frozen=True)
class Info:
    """What a device says of itself.

    Parameters
    ----------
    design : str
    clock_hz : int
    regions : dict of str to Region
        By name.
    parameters : dict
        Of the design.
    registers : tuple of str
        Names, in their order.
    """

    design: str
    clock_hz: int
    regions: dict[str, Region]
    parameters: dict[str, Any]
    registers: tuple[str, ...]

    @classmethod
    def parse(cls, text: bytes) -> Info:
        """Return what region ``info`` holds after its length.

        Raises
        ------
        DeviceError
            If it is nothing that protocol 1 allows.
        """
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DeviceError(f"info must be JSON: {error}") from None
        if not isinstance(value, dict) or value.get("protocol") != VERSION:
            found = value.get("protocol") if isinstance(value, dict) else value
            raise DeviceError(f"the device must speak protocol {VERSION}, not {found!r:.60}")
        try:
            regions = [Region(**region) for region in value["regions"]]
            parameters = dict(value["parameters"])
            own = parameters.get("registers", [])
            names = (value["design"], *own, *(region.name for region in regions))
            # They are told on somebody's terminal.
            if not all(isinstance(n, str) and n.isprintable() and len(n) <= 100 for n in names):
                raise ParameterError("names must be text of at most 100 printable characters")
            return cls(
                design=value["design"],
                clock_hz=check_integer("clock_hz", value["clock_hz"], 1, 1 << 40),
                regions={region.name: region for region in regions},
                parameters=parameters,
                registers=(*OWN_REGISTERS, *own),
            )
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise DeviceError(f"info must be as fpga/protocol.md says: {reason!s:.200}") from None


class Target:
    """A device behind a session.

    Parameters
    ----------
    session : Session

    Raises
    ------
    LinkError
        If it does not answer, or not as a device of this protocol.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.info = session.work(self._read_info)

    @property
    def session(self) -> Session:
        """What it is spoken to through."""
        return self._session

    def work(self, piece: Callable[[], _Result]) -> _Result:
        """Do a whole piece of work, as `Session.work`."""
        return self._session.work(piece)

    def _read_info(self) -> Info:
        size = int.from_bytes(self._session.read(INFO, 0, _LENGTH_BYTES), "little")
        if not 1 <= size <= MAX_INFO_BYTES:
            raise DeviceError(f"info must have 1 to {MAX_INFO_BYTES} bytes, not {size}")
        return Info.parse(self._session.read(INFO, _LENGTH_BYTES, size))

    def region(self, name: str) -> Region:
        """Return a region by its name.

        Raises
        ------
        DeviceError
            If the device has none of it.
        """
        if name not in self.info.regions:
            known = ", ".join(self.info.regions)
            raise DeviceError(f"the device must have a region {name}, not only {known}")
        return self.info.regions[name]

    def read(self, name: str, address: int, count: int) -> bytes:
        """Read bytes of a region."""
        region = self.region(name)
        return self._session.read(region.number, address, count, word_bytes=region.word_bytes)

    def write(
        self,
        name: str,
        address: int,
        data: bytes,
        *,
        advance: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Write bytes into a region."""
        region = self.region(name)
        self._session.write(
            region.number, address, data, word_bytes=region.word_bytes, advance=advance
        )

    def registers(self) -> dict[str, int]:
        """Read all registers, by name."""
        return self._registers(self.info.registers)

    def _registers(self, names: tuple[str, ...]) -> dict[str, int]:
        """Read the first registers: these."""
        data = self._session.read(
            REGISTERS, 0, REGISTER_BYTES * len(names), word_bytes=REGISTER_BYTES
        )
        words = [data[at : at + REGISTER_BYTES] for at in range(0, len(data), REGISTER_BYTES)]
        return {
            name: int.from_bytes(word, "little") for name, word in zip(names, words, strict=True)
        }

    def run(self, argument: int, *, limit: int) -> int:
        """Run, and wait for the end; returns the cycles.

        Parameters
        ----------
        argument : int
        limit : int
            Cycles that it may take.

        Raises
        ------
        DeviceError
            If it takes longer, stands still, or another run than this one has been begun.
        """
        names = OWN_REGISTERS[:3]  # `busy` first: when it is 0, the next ones will not change
        runs = self._registers(names)["runs"]
        self._session.run(argument)
        before = -1
        while (now := self._registers(names))["busy"]:
            if now["cycles"] == before:
                raise DeviceError(f"a run must go on or end, not stand still at cycle {before}")
            if now["cycles"] > limit:
                raise DeviceError(
                    f"a run must end within {limit} cycles, not go on after {now['cycles']}"
                )
            before = now["cycles"]
        if now["runs"] != (runs + 1) % _RUNS:
            raise DeviceError(f"one run must have been begun, not {now['runs'] - runs}")
        return now["cycles"]

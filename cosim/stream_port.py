# SPDX-License-Identifier: Apache-2.0
"""Drives and watches a block whose ports are streams: ``<name>__payload``, ``valid``, ``ready``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cosim.bench import Port

__all__ = ["StreamPort"]


class StreamPort:
    """Feeds streams into a block and takes the beats of one, with random waiting on all sides.

    A beat that is offered is held until it is taken; while none is offered the payload is noise.
    The block's own beats are checked in every cycle: what waits must hold.

    Parameters
    ----------
    port : Port
    out : str
        The stream that the block puts out.
    random : numpy.random.Generator
        For stalls and noise.
    widths : mapping of str to int
        Bits of the payload of each stream that goes in.
    """

    def __init__(
        self, port: Port, out: str, random: np.random.Generator, widths: Mapping[str, int]
    ) -> None:
        self.port = port
        self.taken: dict[str, list[int]] = {}
        self._out = out
        self._random = random
        self._widths = widths

    def quiet(self) -> dict[str, int]:
        """Return inputs that offer nothing and take nothing, for a reset."""
        inputs = {f"{name}__valid": 0 for name in self._widths}
        inputs |= {f"{name}__payload": self._noise(name) for name in self._widths}
        return inputs | {f"{self._out}__ready": 0}

    async def exchange(
        self,
        feeds: Mapping[str, Sequence[int]],
        *,
        count: int = 0,
        stalls: float = 0.0,
        cycles: int | None = None,
        limit: int = 20_000,
    ) -> list[int]:
        """Feed streams until all beats are taken and ``count`` beats have come out.

        Parameters
        ----------
        feeds : mapping of str to sequence of int
            Beats of each stream.
        count : int
        stalls : float
            Probability of a cycle in which a source has nothing new, or the sink takes nothing.
        cycles : int, optional
            Ends the exchange early, after so many cycles.

        Returns
        -------
        list of int
            What came out; ``taken`` holds the cycle of each beat by stream.
        """
        port, out = self.port, self._out
        beats: list[int] = []
        self.taken = {name: [] for name in [*feeds, out]}
        offered = dict.fromkeys(feeds, False)
        waiting: int | None = None
        cycle = 0
        while (
            any(len(self.taken[name]) < len(feeds[name]) for name in feeds) or len(beats) < count
        ) and cycle != cycles:
            assert cycle < limit, f"{len(beats)} of {count} beats came out in {limit} cycles"
            for name, values in feeds.items():
                place = len(self.taken[name])
                if not offered[name] and place < len(values) and not self._waits(stalls):
                    offered[name] = True
                    port.drive(**{f"{name}__valid": 1, f"{name}__payload": values[place]})
            ready = not self._waits(stalls)
            port.drive(**{f"{out}__ready": int(ready)})
            await port.settle()
            going = [name for name in feeds if offered[name] and port.read(f"{name}__ready")]
            beat = port.read(f"{out}__payload") if port.read(f"{out}__valid") else None
            assert waiting is None or beat == waiting, (
                f"cycle {cycle}: a beat that waits must hold, {waiting}, not {beat}"
            )
            waiting = None if ready else beat
            if ready and beat is not None:
                beats.append(beat)
                self.taken[out].append(cycle)
            await port.rise()
            for name in going:
                self.taken[name].append(cycle)
                offered[name] = False
                port.drive(**{f"{name}__valid": 0, f"{name}__payload": self._noise(name)})
            cycle += 1
        return beats

    def _waits(self, stalls: float) -> bool:
        return stalls > 0 and bool(self._random.random() < stalls)

    def _noise(self, name: str) -> int:
        size = -(-self._widths[name] // 8)
        noise = int.from_bytes(self._random.bytes(size), "little")
        return noise & ((1 << self._widths[name]) - 1)

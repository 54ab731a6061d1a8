# SPDX-License-Identifier: Apache-2.0
"""Between the host link and a design: regions of bytes, and a run."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.params import ParameterError, check_integer

__all__ = ["Bus", "Design", "Region"]


@dataclasses.dataclass(frozen=True)
class Region:
    """A range of bytes that the host may read or write.

    Parameters
    ----------
    name : str
    number : int
        0…15. 0 and 1 are the device's own.
    bytes : int
        Its addresses are 0…bytes − 1.
    word_bytes : int
        It is accessed in whole words of so many bytes, 1…256. In a region that can be read, a
        power of two, and a word's address is a multiple of it.
    access : {"r", "w", "rw"}

    Raises
    ------
    ParameterError
        If one breaks these rules.
    """

    name: str
    number: int
    bytes: int
    word_bytes: int
    access: str

    def __post_init__(self) -> None:
        check_integer("number", self.number, 0, 15)
        check_integer("bytes", self.bytes, 1, 1 << 32)
        check_integer("word_bytes", self.word_bytes, 1, 256)
        if self.access not in ("r", "w", "rw"):
            raise ParameterError(f"access must be r, w or rw, not {self.access!r}")
        if self.readable and self.word_bytes & (self.word_bytes - 1):
            raise ParameterError(
                "word_bytes must be a power of two in a region that can be read, "
                f"not {self.word_bytes}"
            )
        if self.bytes % self.word_bytes:
            raise ParameterError(
                f"bytes must be a multiple of word_bytes = {self.word_bytes}, not {self.bytes}"
            )

    @property
    def readable(self) -> bool:
        """Whether the host may read it."""
        return "r" in self.access

    @property
    def writable(self) -> bool:
        """Whether the host may write it."""
        return "w" in self.access


class Bus(wiring.Signature):
    """What the link drives and a design answers; directions are the link's.

    Parameters
    ----------
    registers : int
        Registers of the design's own.

    Members
    -------
    region : Out, 4
    address : Out, 32
        Of a byte in the region; never outside it.
    begin : Out
        Strobe: a READ or WRITE begins, with ``region`` and its first ``address``; the first byte
        follows in a later cycle.
    re, we : Out
        Strobes: a byte is read; a byte is written. They come in order of the addresses.
    wdata : Out, 8
    rdata : In, 8
        Two cycles after ``re``; ``address`` holds until then.
    run : Out
        Strobe: begin a run. Only while ``busy`` is low.
    argument : Out, 8
        Holds with ``run``; less than the design's ``arguments``.
    busy : In
        A run goes on: high from the cycle after ``run`` on, for as many cycles as are counted.
        While it is high, neither ``re`` nor ``we`` nor ``begin`` comes for the design's regions.
    registers : In, 32 a register
        Only if there are any.
    """

    def __init__(self, registers: int = 0) -> None:
        super().__init__(
            {
                "region": Out(4),
                "address": Out(32),
                "begin": Out(1),
                "re": Out(1),
                "we": Out(1),
                "wdata": Out(8),
                "rdata": In(8),
                "run": Out(1),
                "argument": Out(8),
                "busy": In(1),
                # Verilog has no ports of no bits.
                **({"registers": In(data.ArrayLayout(32, registers))} if registers else {}),
            }
        )


class Design(Protocol):
    """What the device asks of a design: a component with a flipped `Bus`, and facts about it."""

    bus: Any
    """Flipped `Bus`."""

    @property
    def name(self) -> str:
        """Name of the design in ``info``."""

    @property
    def regions(self) -> tuple[Region, ...]:
        """Its regions, numbered from 2 on."""

    @property
    def arguments(self) -> int:
        """RUN takes 0…arguments − 1, at most 256 of them."""

    @property
    def registers(self) -> tuple[str, ...]:
        """Names of its registers, which are numbered from 4 on."""

    @property
    def parameters(self) -> dict[str, object]:
        """What ``info`` says about it."""

    def elaborate(self, platform: object) -> Module:
        """Build it."""

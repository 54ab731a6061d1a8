# SPDX-License-Identifier: Apache-2.0
"""Between the host link and a design: regions of bytes, and a run."""

from __future__ import annotations

from typing import Any, Protocol

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from fpga.protocol import Region

__all__ = ["REGISTER_BITS", "Bus", "Design"]

REGISTER_BITS = 48
"""Of a design's own register."""


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
    registers : In, 48 a register
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
                **(
                    {"registers": In(data.ArrayLayout(REGISTER_BITS, registers))}
                    if registers
                    else {}
                ),
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

# SPDX-License-Identifier: Apache-2.0
"""The memory that a shift module works on: one port that reads before it writes."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.params import address_bits, check_integer

__all__ = ["ReadFirstMemory"]


class ReadFirstMemory(wiring.Component):
    """Synchronous single-port memory; an access with ``we`` returns the *old* word.

    This is what the in-place shift stands on (DATE 2024, section IV-A): one access a cycle both
    fetches a pixel and replaces it. It maps to block RAM in READ_FIRST mode. Contents start as 0.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words, at least 2.

    Members
    -------
    addr : In, ⌈log2 depth⌉ bits
        Address of this cycle's access.
    we : In
        Level: the word at ``addr`` becomes ``wdata`` at the next clock edge.
    wdata : In, width bits
    rdata : Out, width bits
        The word at the previous cycle's ``addr``, as it was before that cycle's write.
    """

    def __init__(self, *, width: int, depth: int) -> None:
        self._width = check_integer("width", width, 1, 1 << 16)
        self._depth = check_integer("depth", depth, 2, 1 << 32)
        super().__init__(
            {
                "addr": In(address_bits(depth)),
                "we": In(1),
                "wdata": In(width),
                "rdata": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=self._width, depth=self._depth, init=[])
        write = memory.write_port()
        read = memory.read_port(transparent_for=())
        m.d.comb += [
            write.addr.eq(self.addr),
            write.data.eq(self.wdata),
            write.en.eq(self.we),
            read.addr.eq(self.addr),
            read.en.eq(1),
            self.rdata.eq(read.data),
        ]
        return m

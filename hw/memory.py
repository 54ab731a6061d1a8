# SPDX-License-Identifier: Apache-2.0
"""Memories that shift modules work on: a port that reads before it writes, and one beside it."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.params import address_bits, check_integer

__all__ = ["DualPortMemory", "ReadFirstMemory"]

BLOCK_BITS, BLOCK_WORDS = 8, 4096
"""A block RAM that synthesis maps as it is written: 4K × 9 with eight bits in use."""


def _members(width: int, depth: int, prefix: str = "") -> dict[str, wiring.Member]:
    """Return the members of a port that reads before it writes; check the sizes."""
    check_integer("width", width, 1, 1 << 16)
    check_integer("depth", depth, 2, 1 << 32)
    return {
        f"{prefix}addr": In(address_bits(depth)),
        f"{prefix}we": In(1),
        f"{prefix}wdata": In(width),
        f"{prefix}rdata": Out(width),
    }


def _read_first(m: Module, memory: Memory, addr: Value, we: Value, wdata: Value) -> Value:
    """Let a memory have such a port; return the word that was read."""
    write, read = memory.write_port(), memory.read_port(transparent_for=())
    m.d.comb += [
        write.addr.eq(addr),
        write.data.eq(wdata),
        write.en.eq(we),
        read.addr.eq(addr),
        read.en.eq(1),
    ]
    return read.data


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
        self._width, self._depth = width, depth
        super().__init__(_members(width, depth))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=self._width, depth=self._depth, init=[])
        m.d.comb += self.rdata.eq(_read_first(m, memory, self.addr, self.we, self.wdata))
        return m


class DualPortMemory(wiring.Component):
    """Synchronous memory with a port that reads, and one that reads before it writes.

    Composed of block RAMs of 4096 words of 8 bits, since tools map deep narrow memories to widths
    that come out wrong. Contents start as 0.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words, at least 2.

    Members
    -------
    a_addr : In, ⌈log2 depth⌉ bits
    a_en : In
        Level: read; otherwise ``a_rdata`` stays. Not where port b writes in the same cycle.
    a_rdata : Out, width bits
        One cycle later.
    b_addr, b_we, b_wdata, b_rdata
        As ``addr``, ``we``, ``wdata``, ``rdata`` of `ReadFirstMemory`.
    """

    def __init__(self, *, width: int, depth: int) -> None:
        self._width, self._depth = width, depth
        b = _members(width, depth, "b_")
        a = {"a_addr": b["b_addr"], "a_en": In(1), "a_rdata": Out(width)}
        super().__init__(a | b)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        low = address_bits(min(self._depth, BLOCK_WORDS))
        block_a = Signal(address_bits(self._depth))
        block_b = Signal.like(block_a)
        with m.If(self.a_en):
            m.d.sync += block_a.eq(self.a_addr >> low)
        m.d.sync += block_b.eq(self.b_addr >> low)
        a_words, b_words = [], []
        for block in range(-(-self._depth // BLOCK_WORDS)):
            depth = min(BLOCK_WORDS, self._depth - block * BLOCK_WORDS)
            a_lanes, b_lanes = [], []
            for first in range(0, self._width, BLOCK_BITS):
                bits = min(BLOCK_BITS, self._width - first)
                memory = Memory(shape=bits, depth=depth, init=[])
                m.submodules[f"block_{block}_{first // BLOCK_BITS}"] = memory
                we = self.b_we & (self.b_addr >> low == block)
                wdata = self.b_wdata[first:]
                b_lanes.append(_read_first(m, memory, self.b_addr, we, wdata))
                read = memory.read_port()
                m.d.comb += [read.addr.eq(self.a_addr), read.en.eq(self.a_en)]
                a_lanes.append(read.data)
            a_words.append(Cat(a_lanes))
            b_words.append(Cat(b_lanes))
        m.d.comb += [
            self.a_rdata.eq(Array(a_words)[block_a]),
            self.b_rdata.eq(Array(b_words)[block_b]),
        ]
        return m

# SPDX-License-Identifier: Apache-2.0
"""The accelerator's feature maps: their memories, and who uses which port of which."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.accelerator_params import AcceleratorParams
from hw.memory import DualPortMemory
from hw.params import address_bits
from hw.sequencer import entry_layout
from hw.tile import COUNTER_BITS, popcount
from hw.writer import write_layout

__all__ = ["Buffers"]


def _chosen(users: Sequence[tuple[Value, Value]]) -> Value:
    """Return what the first user asks for whose turn it is; the last one need not be asked."""
    value = users[-1][1]
    for turn, asked in reversed(users[:-1]):
        value = Mux(turn, asked, value)
    return value


class Buffers(wiring.Component):
    """Banks of all buffers, one a crossbar, and of the pooled map.

    Port A of a bank serves the fetch, port B the write. An operand to add is read at port B, or at
    port A of a buffer that is not fetched, since such a one may be written meanwhile. A pass and
    the host use port B.

    Parameters
    ----------
    params : AcceleratorParams
        Keyword only.
    counter_bits : int
        Width of the counter of writes.

    Members
    -------
    entry : In, `entry_layout`
    rest : In
        Level: the accelerator is at rest, and the ports are the host's.
    a_addr, b_addr, reads, a_rdata, b_rdata
        As of `hw.fetch.Fetch`, from the other side.
    add_addr, add_bank, add_rdata, first, second, pooled
        As of `hw.writer.Writer`, from the other side.
    shift_addr, shift_we, shift_wdata, shift_rdata
        As of `hw.shift_pass.ShiftPass`, from the other side: the buffer ``entry.shift_buffer``.
    host_buffer, host_bank, host_addr, host_we, host_wdata, host_rdata
        As of `hw.accelerator.Accelerator`.
    map_writes : Out, 48
        Words written while not at rest, since reset; the pooled map not counted.
    """

    def __init__(self, *, params: AcceleratorParams, counter_bits: int = COUNTER_BITS) -> None:
        self._params = params
        address = data.ArrayLayout(params.bank_bits, params.banks)
        word = signed(params.shift.bits)
        words = data.ArrayLayout(word, params.banks)
        write = write_layout(params)
        super().__init__(
            {
                "entry": In(entry_layout(params)),
                "rest": In(1),
                "a_addr": In(address),
                "b_addr": In(address),
                "reads": In(1),
                "a_rdata": Out(words),
                "b_rdata": Out(words),
                "add_addr": In(params.bank_bits),
                "add_bank": In(address_bits(params.banks)),
                "add_rdata": Out(word),
                "first": In(write),
                "second": In(write),
                "pooled": In(write),
                "shift_addr": In(address),
                "shift_we": In(params.banks),
                "shift_wdata": In(words),
                "shift_rdata": Out(words),
                "host_buffer": In(address_bits(len(params.buffers) + 1)),
                "host_bank": In(address_bits(params.banks)),
                "host_addr": In(params.bank_bits),
                "host_we": In(1),
                "host_wdata": In(word),
                "host_rdata": Out(word),
                "map_writes": Out(counter_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params, entry = self._params, self.entry
        added: list[Value] = []
        held: list[Value] = []
        written: list[Value] = []
        host_bank, host_buffer = Signal.like(self.host_bank), Signal.like(self.host_buffer)
        m.d.sync += [host_bank.eq(self.host_bank), host_buffer.eq(self.host_buffer)]
        for bank in range(params.banks):
            memories = [
                self._memory(m, number, bank, written) for number in range(len(params.buffers))
            ]
            # After the buffers nothing but the pooled map: the last ones need not be told apart.
            pooled = [self._pooled(m, bank)] * ((1 << len(self.host_buffer)) - len(memories))
            a_words = Array([*(memory.a_rdata.as_signed() for memory in memories), *pooled])
            b_words = Array([*(memory.b_rdata.as_signed() for memory in memories), *pooled])
            m.d.comb += [
                self.a_rdata[bank].eq(a_words[entry.a]),
                self.b_rdata[bank].eq(a_words[entry.b]),
                self.shift_rdata[bank].eq(b_words[entry.shift_buffer]),
            ]
            fetched = (entry.add == entry.a) | (entry.two & (entry.add == entry.b))
            added.append(Mux(fetched, b_words[entry.add], a_words[entry.add]))
            held.append(b_words[host_buffer])
        m.d.comb += [
            self.add_rdata.eq(Array(added)[self.add_bank]),
            self.host_rdata.eq(Array(held)[host_bank]),
        ]
        writes = Signal(len(written))
        m.d.comb += [bit.eq(each) for bit, each in zip(writes, written, strict=True)]
        m.d.sync += self.map_writes.eq(self.map_writes + popcount(m, writes))
        return m

    def _memory(self, m: Module, number: int, bank: int, written: list[Value]) -> DualPortMemory:
        """Make one bank of a buffer; add to ``written`` when it is.

        Its ports serve only those that the schedule lets use it.
        """
        params, entry = self._params, self.entry
        memory = DualPortMemory(width=params.shift.bits, depth=params.bank_depth)
        m.submodules[f"{params.buffers[number]}_{bank}"] = memory
        layers = params.layers
        fetches = [[read.buffer for read in layer.operands] for layer in layers]
        adds = [
            number in fetched
            for layer, fetched in zip(layers, fetches, strict=True)
            if layer.add is not None and layer.add.buffer == number
        ]

        reads_a = []
        is_a, is_b = entry.a == number, entry.two & (entry.b == number)
        if any(fetched[0] == number for fetched in fetches):
            reads_a.append((is_a, self.a_addr[bank]))
        if any(fetched[1:] == [number] for fetched in fetches):
            reads_a.append((is_b, self.b_addr[bank]))
        enable: Value = self.reads
        if not all(adds):
            reads_a.append((~(is_a | is_b), self.add_addr))
            enable = self.reads | ~(is_a | is_b)
        if reads_a:  # what the last body layer writes goes to the pool, and may be fetched by none
            m.d.comb += [memory.a_addr.eq(_chosen(reads_a)), memory.a_en.eq(enable)]

        is_host = (self.host_buffer == number) & (self.host_bank == bank)
        is_pass = self.shift_we[bank] & (entry.shift_buffer == number)
        is_first = entry.out[number]
        is_second = entry.doubles & (entry.second == number)
        first, second = self.first, self.second
        we = self.rest & self.host_we & is_host
        uses_b = [(self.rest, Cat(self.host_addr, self.host_wdata, we))]
        if any(layer.shift_first == number for layer in layers):
            uses_b.append((is_pass, Cat(self.shift_addr[bank], self.shift_wdata[bank], is_pass)))
        if any(layer.second == number for layer in layers):
            we = second.valid & (second.bank == bank)
            uses_b.append((is_second, Cat(second.addr, second.data, is_second & we)))
        if any(adds):
            uses_b.append((~is_first, Cat(self.add_addr, first.data, Const(0))))
        if any(layer.out == number for layer in layers):
            we = is_first & first.valid & (first.bank == bank)
            uses_b.append((is_first, Cat(first.addr, first.data, we)))
        m.d.comb += Cat(memory.b_addr, memory.b_wdata, memory.b_we).eq(_chosen(uses_b))
        written.append(memory.b_we & ~self.rest)
        return memory

    def _pooled(self, m: Module, bank: int) -> Value:
        """Make one bank of the pooled map; return the word that was read."""
        params = self._params
        shape = signed(params.pooled_bits)
        memory = Memory(shape=shape, depth=max(2, params.bank_channels), init=[])
        m.submodules[f"pooled_{bank}"] = memory
        write, read = memory.write_port(), memory.read_port()
        channel = self.a_addr[bank][params.shift.addr_bits :]
        m.d.comb += [
            write.addr.eq(self.pooled.addr),
            write.data.eq(self.pooled.data),
            write.en.eq(self.pooled.valid & (self.pooled.bank == bank)),
            read.addr.eq(Mux(self.rest, self.host_addr, channel)),
            read.en.eq(self.rest | self.reads),
        ]
        return read.data

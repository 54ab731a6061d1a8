# SPDX-License-Identifier: Apache-2.0
"""What is proven of `fpga.link.Link`: what it promises to its bus, and one answer each."""

from __future__ import annotations

from typing import ClassVar

from amaranth.hdl import Assert, Assume, Cat, Const, Cover, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from cosim.properties_link import NoParams, assert_holds
from fpga.link import Link
from fpga.link_receive import CRC_BYTES, HEADER, WRITE_HEADER_BYTES
from fpga.protocol import INFO, MAX_DATA, REGISTERS, Operation, Region, Status

__all__ = ["BusRules"]

# States of the link, as Amaranth numbers them: in the order in which its text names them.
IDLE, SETTLE, MEASURE, FIND, DECIDE, PREPARE, ACT, HEAD, WRITE, OFFER, READ, FINISH = range(12)

# What the link knows of a request, each from the one before it, and how wide that is.
FACTS = {
    "size": 9, "well_formed": 1, "limit": 11,
    "stop": 9, "allowed": 1, "beyond": 1, "wrong_count": 1, "end": 11, "outside": 1,
}  # fmt: skip

REGIONS = (
    Region("info", INFO, 512, 1, "r"),
    Region("registers", REGISTERS, 40, 8, "r"),
    Region("map", 2, 245, 1, "rw"),
    Region("program", 4, 60, 3, "w"),
)


class BusRules(wiring.Component):
    """A link with four regions, any line, any design that keeps its side of the bus.

    - Of a byte read, a byte written, a run and a SYNC there is one at a time; bytes lie four cycles
      apart, and the address holds for two cycles after ``re``, and with ``we``.
    - A run begins only while none goes on, and at most once a request.
    - A byte is read or written inside a region, of which that may be; in order of the addresses.
    - A request is released once, when its answer has been given to the sender, whose bytes hold.

    Covered: a frame is dropped; a whole request takes too many cycles to search for.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_state": "dut.fsm_state",
        "probe_beat": "dut.beat",
        "probe_found": "dut.found",
        "probe_status": "dut.status",
        "probe_new": "dut.new",
        "probe_ok": "dut.ok",
        "probe_held": "dut.receiver.held",
        "probe_release": "dut.receiver.release",
        "probe_header": "dut.receiver.header",
        "probe_strobe": "dut.receiver.decoder.strobe",
        "probe_end": "dut.receiver.decoder.end",
        "probe_begun": "dut.receiver.decoder.begun",
        "probe_late": "dut.receiver.late",
        "probe_we": "dut.receiver.we",
        "probe_body_valid": "dut.sender.body__valid",
        "probe_body_ready": "dut.sender.body__ready",
        "probe_body": "dut.sender.body__payload",
        "probe_length": "dut.receiver.length",
        "probe_byte": "dut.byte_number",
        "probe_answered": "dut.answered",
        **{f"fact_{fact}": f"dut.{fact}" for fact in FACTS},
        **{f"probe_{operation.name}": f"dut.is_{operation.name}" for operation in Operation},
    }

    def __init__(self, params: NoParams) -> None:
        wide = {
            "probe_state": 4, "probe_beat": 3, "probe_found": Status, "probe_status": Status,
            "probe_header": 80, "probe_body": 9, "probe_length": 9, "probe_byte": 9,
            "probe_answered": 3, **{f"fact_{fact}": width for fact, width in FACTS.items()},
        }  # fmt: skip
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "error": In(1),
                "ready": In(1),
                "busy": In(1),
                "rdata": In(8),
                **{name: In(wide.get(name, 1)) for name in self.PROBES},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the link, the invariants and the claims."""
        m = Module()
        m.submodules.dut = dut = Link(regions=REGIONS, arguments=8)
        bus = dut.bus
        m.d.comb += [
            *(getattr(dut, name).eq(getattr(self, name)) for name in ("data", "valid", "error")),
            dut.frame.ready.eq(self.ready),
            bus.busy.eq(self.busy),
            bus.rdata.eq(self.rdata),
        ]
        was_busy, ran = Signal(), Signal()
        m.d.sync += [was_busy.eq(self.busy), ran.eq(bus.run)]
        state, beat = self.probe_state, self.probe_beat
        strobes = Cat(bus.re, bus.we, bus.run, dut.synced)
        flags = {operation: getattr(self, f"probe_{operation.name}") for operation in Operation}
        settled = state > SETTLE
        moves = (state == WRITE) | (state == READ)
        good = self.probe_status == Status.OK
        decided = (state == PREPARE) | (state == ACT)
        run = flags[Operation.RUN]
        m.d.comb += [
            Assume(~(self.valid & self.error)),
            Assume(~self.busy | was_busy | ran),
            Assert(state <= FINISH),
            Assert((strobes & (strobes - 1)) == 0),
            Assert(~bus.begin | (strobes == 0)),
            Assert(~bus.re | ((state == READ) & (beat == 1))),
            Assert(~bus.we | ((state == WRITE) & (beat == 3))),
            Assert((state < ACT) | (beat == 0) | (moves & (beat < 4))),
            Assert(~(bus.run | dut.synced) | (state == HEAD)),
            Assert(~bus.run | ~self.busy),
            # The request holds from IDLE to FINISH, and so does what follows from it.
            Assert((state == IDLE) | self.probe_held),
            Assert(~(self.probe_end & (self.probe_strobe | self.probe_begun))),
            Assert(~(self.probe_end & self.probe_held) | self.probe_late),
            Assert(~(self.probe_held & self.probe_we)),
            Assert(~self.probe_release | (state == FINISH)),
            Assert((state != DECIDE) | (self.probe_found != Status.OK) | ~run | ~self.busy),
            Assert(~(decided & self.probe_new & good & run) | ~self.busy),
            Assert((state != ACT) | (self.probe_ok == good)),
            Cover(dut.dropped),
        ]
        for operation, flag in flags.items():
            asked = self.probe_header[16:24] == operation
            m.d.comb += Assert(~(settled | ((state == SETTLE) & (beat != 0))) | (flag == asked))

        self._claim_addresses(m, dut, flags)
        address, read, once = Signal.like(bus.address), Signal(2), Signal()
        m.d.sync += [address.eq(bus.address), read.eq(Cat(bus.re, read))]
        with m.If(read.any()):
            m.d.comb += Assert(bus.address == address)
        m.d.comb += Assert(~read[0] | ((state == READ) & (beat == 2)))
        m.d.comb += Assert(~read[1] | ((state == READ) & (beat == 3)))
        with m.If(bus.run):
            m.d.sync += once.eq(1)
        with m.If(self.probe_release):
            m.d.sync += once.eq(0)
        m.d.comb += Assert(~once | ~bus.run)
        m.d.comb += Assert(~once | (state >= HEAD))
        assert_holds(m, self.probe_body_valid, self.probe_body_ready, self.probe_body)
        return m

    def _claim_addresses(self, m: Module, dut: Link, flags: dict[Operation, Signal]) -> None:
        """Claim that all accesses are inside a region, by what is known of the request."""
        bus, state, beat = dut.bus, self.probe_state, self.probe_beat
        first = WRITE_HEADER_BYTES  # the number of the first byte
        header = data.View(HEADER, self.probe_header)
        read, write = flags[Operation.READ], flags[Operation.WRITE]
        limit, readable, writable = Signal(11), Signal(), Signal()
        for region in REGIONS:
            with m.If(header.region == region.number):
                m.d.comb += [
                    limit.eq(region.bytes + first),
                    readable.eq(region.readable),
                    writable.eq(region.writable),
                ]
        place = header.address[:10]
        allowed = (read & readable) | (write & writable)
        fits = allowed & (place + self.fact_stop <= limit) & ((header.address >> 10) == 0)
        fits &= ~read | (header.count != 0) & (header.count <= MAX_DATA)
        long_enough = ~write | (self.fact_size > first)
        known = (
            (1, self.fact_size == (self.probe_length - CRC_BYTES)[:9]),
            (1, ~(readable | writable) | (self.fact_limit == limit)),
            (2, self.fact_stop == Mux(write, self.fact_size, header.count + first)[:9]),
            (2, ~self.fact_well_formed | long_enough),
            (2, self.fact_allowed == allowed),
            (2, self.fact_beyond == ((header.address >> 10) != 0)),
            (2, self.fact_wrong_count | ~read | (header.count - 1 < MAX_DATA)),
            (3, self.fact_end == place + self.fact_stop),
            (4, self.fact_outside | fits),
        )
        for age, fact in known:
            m.d.comb += Assert((state < SETTLE) | (state == SETTLE) & (beat < age) | fact)

        good, accesses = self.probe_status == Status.OK, read | write
        taken = good & (read | write & self.probe_new) & (state > DECIDE)
        found = (state == DECIDE) & (self.probe_found == Status.OK) & accesses
        reads = (state > PREPARE) & taken & read
        transfer = reads | (state == WRITE)
        # Byte and address go on together, but for the cycles between the one and the other.
        between = ((state == READ) & (beat != 0)) | ((state == WRITE) & (beat == 3))
        offset = (self.probe_byte - first - between)[:9]
        left = self.probe_byte < self.fact_stop
        inside = Const(0)
        for region in REGIONS:
            may = (bus.re & region.readable) | (bus.we & region.writable)
            inside |= (bus.region == region.number) & may & (bus.address < region.bytes)
        m.d.comb += [
            Assert(~(found | taken) | fits & long_enough),
            Assert((state != WRITE) | taken & write),
            Assert((state != READ) | taken & read),
            Assert(~transfer | (self.probe_byte >= first + between)),
            Assert(~transfer | (self.probe_byte <= self.fact_stop)),
            Assert(~transfer | (bus.address == place + offset)),
            Assert(~((state == READ) & (beat == 0) | (state == WRITE) & (beat != 3)) | left),
            Assert(~((state == OFFER) & reads & ~self.probe_body[8]) | left),
            Assert(~((state == HEAD) & reads) | left),
            Assert(~(bus.re | bus.we) | inside),
        ]

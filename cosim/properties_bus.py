# SPDX-License-Identifier: Apache-2.0
"""What is proven of `fpga.link.Link`: what it promises to its bus, and one answer each."""

from __future__ import annotations

from typing import ClassVar

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from cosim.properties_link import NoParams, assert_holds
from fpga.link import Link
from fpga.protocol import INFO, REGISTERS, Operation, Region, Status

__all__ = ["BusRules"]

# States of the link, as Amaranth numbers them: in the order in which its text names them.
IDLE, SETTLE, MEASURE, FIND, DECIDE, PREPARE, ACT, HEADER, WRITE, OFFER, READ, FINISH = range(12)

REGIONS = (
    Region("info", INFO, 512, 1, "r"),
    Region("registers", REGISTERS, 40, 8, "r"),
    Region("map", 2, 245, 1, "rw"),
)


class BusRules(wiring.Component):
    """A link with three regions, any line, any design that keeps its side of the bus.

    - Of a byte read, a byte written, a run and a SYNC there is one at a time; bytes lie four cycles
      apart, and the address holds for two cycles after ``re``, and with ``we``.
    - A run begins only while none goes on, and at most once a request.
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
        **{f"probe_{operation.name}": f"dut.is_{operation.name}" for operation in Operation},
    }

    def __init__(self, params: NoParams) -> None:
        wide = {
            "probe_state": 4, "probe_beat": 3, "probe_found": Status, "probe_status": Status,
            "probe_header": 80, "probe_body": 9,
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
            Assert(~(bus.run | dut.synced) | (state == HEADER)),
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
        m.d.comb += Assert(~once | (state >= HEADER))
        assert_holds(m, self.probe_body_valid, self.probe_body_ready, self.probe_body)
        return m

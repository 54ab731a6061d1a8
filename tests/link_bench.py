# SPDX-License-Identifier: Apache-2.0
"""A host of the link's own making: frames into a Link or a Device, answers out of it."""

from __future__ import annotations

import struct
import zlib

from amaranth.sim import Simulator
from cobs import cobs

SYNC, READ, WRITE, RUN = range(4)
OK, SEQUENCE, OPERATION, RANGE, BUSY = range(5)


def packet(body):
    return body + struct.pack("<I", zlib.crc32(body))


def frame(body):
    return cobs.encode(packet(body)) + b"\0"


def sync(sequence):
    return struct.pack("<HB", sequence, SYNC)


def read(sequence, region, address, count):
    return struct.pack("<HBBIH", sequence, READ, region, address, count)


def write(sequence, region, address, data):
    return struct.pack("<HBBI", sequence, WRITE, region, address) + bytes(data)


def run(sequence, argument):
    return struct.pack("<HBB", sequence, RUN, argument)


class Line:
    """The two ends of a link's bytes, within a testbench."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut
        self.dropped = 0
        self._sent = bytearray()

    async def tick(self):
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.frame.ready, 1)
        self.dropped += ctx.get(dut.dropped)
        if ctx.get(dut.frame.valid):
            self._sent.append(ctx.get(dut.frame.payload))
        await ctx.tick()

    async def send(self, line, *, errors=(), gap=1):
        """Send bytes; those at ``errors`` come with a wrong stop bit."""
        for number, byte in enumerate(line):
            self.ctx.set(self.dut.data, byte)
            self.ctx.set(self.dut.error, number in errors)
            self.ctx.set(self.dut.valid, number not in errors)
            await self.tick()
            self.ctx.set(self.dut.valid, 0)
            self.ctx.set(self.dut.error, 0)
            for _ in range(gap):
                await self.tick()

    async def answer(self, *, limit=4000):
        """Return the body of the next answer; None if no frame comes within the limit."""
        for _ in range(limit):
            if self._sent.endswith(b"\0"):
                line, self._sent = bytes(self._sent), bytearray()
                assert line.count(b"\0") == 1
                content = cobs.decode(line[:-1])
                assert content == packet(content[:-4])
                return content[:-4]
            await self.tick()
        return None

    async def ask(self, body, **how):
        await self.send(frame(body), **how)
        return await self.answer()


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()

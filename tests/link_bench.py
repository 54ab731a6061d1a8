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
    """The host's end of the line, within a testbench; ``get`` looks into the design."""

    def __init__(self, ctx, core, design):
        self.dropped = 0
        self._ctx, self._core, self._design = ctx, core, design
        self._answers = []

    def get(self, name):
        return self._ctx.get(getattr(self._design, name))

    async def wait(self, cycles):
        await self._ctx.tick().repeat(cycles)

    async def listen(self, ctx, ready):
        """Take bytes, in the background; ``ready`` says in which cycles."""
        core = self._core
        answer = bytearray()
        taken = True
        ctx.set(core.frame.ready, 1)
        sampled = ctx.tick().sample(core.frame.valid, core.frame.payload, core.dropped)
        async for _, _, valid, byte, dropped in sampled:
            self.dropped += dropped
            if valid and taken:
                answer.append(byte)
                if not byte:
                    self._answers.append(bytes(answer))
                    answer.clear()
            if ready:
                taken = ready()
                ctx.set(core.frame.ready, taken)

    async def send(self, line, *, errors=()):
        """Send bytes; those at ``errors`` come with a wrong stop bit."""
        ctx, core = self._ctx, self._core
        for number, byte in enumerate(line):
            strobe = core.error if number in errors else core.valid
            ctx.set(core.data, byte)
            ctx.set(strobe, 1)
            await ctx.tick()
            ctx.set(strobe, 0)
            await self.wait(11)

    async def answer(self, *, limit=8000):
        """Return the body of the next answer; None if none comes within so many cycles."""
        for _ in range(limit // 20):
            if self._answers:
                line = self._answers.pop(0)
                content = cobs.decode(line[:-1])
                assert content == packet(content[:-4])
                return content[:-4]
            await self.wait(20)
        return None

    async def ask(self, body):
        await self.send(frame(body))
        return await self.answer()


def play(core, design, script, *, ready=None):
    """Run ``script(line)``, a coroutine, to its end."""
    ends = []
    lines = []

    async def bench(ctx):
        lines.append(Line(ctx, core, design))
        await script(lines[0])
        ends.append(True)

    async def listener(ctx):
        await ctx.tick()
        await lines[0].listen(ctx, ready)

    simulator = Simulator(core)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.add_testbench(listener, background=True)
    simulator.run()
    assert ends

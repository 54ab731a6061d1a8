# SPDX-License-Identifier: Apache-2.0
"""Beats in, beats out: a block with stream ports in Amaranth's own simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.sim import Simulator

from cosim.tile_scenario import Scenario

Stall = Callable[[], bool]


@dataclasses.dataclass
class Exchange:
    """What came out, the cycles in which beats were taken, and the outputs read at the end."""

    beats: list[int]
    taken: dict[str, list[int]]
    read: dict[str, int]


def exchange(
    dut: wiring.Component,
    feeds: Iterable[Mapping[str, Sequence[int]]],
    *,
    out: str,
    count: int,
    stall: Stall = lambda: False,
    read: Sequence[str] = (),
    limit: int = 100_000,
) -> Exchange:
    """Feed streams, group after group, and take ``count`` beats; ``stall`` says who waits when."""
    result = Exchange([], {}, {})

    async def bench(ctx):
        sink = getattr(dut, out)
        cycle = 0
        for group in feeds:
            left = {name: list(reversed(beats)) for name, beats in group.items()}
            offered = set()
            final = group is feeds[-1]
            while any(left.values()) or (final and len(result.beats) < count):
                assert cycle < limit, f"{len(result.beats)} of {count} beats in {limit} cycles"
                for name, beats in left.items():
                    source = getattr(dut, name)
                    if beats and name not in offered and not stall():
                        offered.add(name)
                        ctx.set(Value.cast(source.payload), beats[-1])
                    ctx.set(source.valid, name in offered)
                ctx.set(sink.ready, not stall())
                for name in sorted(offered):
                    if ctx.get(getattr(dut, name).ready):
                        left[name].pop()
                        offered.remove(name)
                        result.taken.setdefault(name, []).append(cycle)
                if ctx.get(sink.valid) and ctx.get(sink.ready):
                    result.beats.append(ctx.get(Value.cast(sink.payload)))
                    result.taken.setdefault(out, []).append(cycle)
                await ctx.tick()
                cycle += 1
            for name in left:
                ctx.set(getattr(dut, name).valid, 0)
        for _ in range(4):
            await ctx.tick()
        result.read.update({name: ctx.get(getattr(dut, name)) for name in read})

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return result


def feeds_of(scenario: Scenario) -> list[dict[str, list[int]]]:
    """Return what a tile is fed: first its contents, then its work."""
    return [
        {"program": scenario.program(), "entries": scenario.entries()},
        {
            "activations": scenario.activation_beats(),
            "commands": scenario.command_beats(),
            "channels": scenario.channel_beats(),
        },
    ]

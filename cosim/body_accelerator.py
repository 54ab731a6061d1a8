# SPDX-License-Identifier: Apache-2.0
"""Tests of the accelerator's host side inside the simulator.

Parameters of a run: ``block``, ``seed``, ``contents`` (beats of each load stream), ``widths`` (bits
of the host's inputs), ``layers`` (cycles of each), ``buffer`` (where an image lies), ``images``
(for each, ``words``, which are bank, address, value, and ``logits``, 32 bits without sign).
"""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from cosim.bench import Port, parameters, reset

TIMEOUT = 20  # ms: 2,000,000 cycles

STREAMS = ("program", "entries", "channels", "affines")


class Host:
    """One accelerator, and what a host does with it."""

    def __init__(self, dut: Any) -> None:
        self.given = parameters()
        self.name = self.given["block"]
        self.random = np.random.Generator(np.random.PCG64(self.given["seed"]))
        self.port = Port(dut, self.name)
        self.cycles = sum(self.given["layers"])

    def quiet(self) -> dict[str, int]:
        """Return inputs that ask for nothing."""
        valids = {f"{stream}__valid": 0 for stream in STREAMS}
        return dict.fromkeys(["step", *self.given["widths"]], 0) | valids

    def disturb(self) -> None:
        """Ask for anything, which must not matter while it runs."""
        widths = self.given["widths"].items()
        self.port.drive(**{name: int(self.random.integers(1 << bits)) for name, bits in widths})

    async def begin(self) -> None:
        """Reset, and load the contents."""
        payloads = {f"{stream}__payload": 0 for stream in STREAMS}
        await reset(self.port, **self.quiet(), **payloads)
        for stream, beats in self.given["contents"].items():
            for beat in beats:
                self.port.drive(**{f"{stream}__valid": 1, f"{stream}__payload": beat})
                await self.port.rise()
            self.port.drive(**{f"{stream}__valid": 0})

    async def start(self, image: dict[str, Any], *, step: bool) -> None:
        """Write an image, and start."""
        for bank, address, value in image["words"]:
            self.port.drive(
                host_buffer=self.given["buffer"],
                host_bank=bank,
                host_addr=address,
                host_wdata=value,
                host_we=1,
            )
            await self.port.rise()
        self.port.drive(**self.quiet() | {"start": 1, "step": int(step)})
        await self.port.rise()

    async def run(self, cycles: int) -> None:
        """Disturb for that many cycles, after which it must be ready, and not before."""
        for cycle in range(cycles):
            self.disturb()
            await self.port.settle()
            assert not self.port.read("ready"), f"{self.name}: ready in cycle {cycle} of {cycles}"
            await self.port.rise()
        self.port.drive(**self.quiet())
        await self.port.settle()
        assert self.port.read("ready"), f"{self.name}: must be ready after {cycles} cycles"
        await self.port.rise()

    async def check(self, image: dict[str, Any]) -> None:
        """Compare the logits."""
        logits = []
        for number in range(len(image["logits"])):
            self.port.drive(logit=number)
            await self.port.rise()
            await self.port.settle()
            logits.append(self.port.read("logit_value"))
        await self.port.rise()
        assert logits == image["logits"], (
            f"{self.name}: logits must be {image['logits']}, not {logits}"
        )


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def images_one_after_the_other(dut: Any) -> None:
    """Whatever the host does meanwhile: exact cycles, right logits."""
    host = Host(dut)
    await host.begin()
    for image in host.given["images"]:
        await host.start(image, step=False)
        await host.run(host.cycles)
        await host.check(image)


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def layer_by_layer(dut: Any) -> None:
    """With ``step`` it stops after each layer, and says which is next."""
    host = Host(dut)
    await host.begin()
    image, layers = host.given["images"][0], host.given["layers"]
    await host.start(image, step=True)
    for number, cycles in enumerate(layers):
        if number:
            host.port.drive(start=1, step=1)
            await host.port.rise()
        host.port.drive(step=1)
        await host.run(cycles)
        await host.port.settle()
        following, wanted = host.port.read("layer"), (number + 1) % len(layers)
        assert following == wanted, f"{host.name}: next layer must be {wanted}, not {following}"
        await host.port.rise()
    await host.check(image)


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def reset_at_random_moments(dut: Any) -> None:
    """Reset ends a run; contents stay, and the next image is right."""
    host = Host(dut)
    await host.begin()
    for moment in sorted(host.random.integers(1, host.cycles, 2).tolist()):
        await host.start(host.given["images"][0], step=False)
        for _ in range(moment):
            await host.port.rise()
        host.port.drive(rst=1, **host.quiet())
        await host.port.rise()
        host.port.drive(rst=0)
        image = host.given["images"][1]
        await host.start(image, step=False)
        await host.run(host.cycles)
        await host.check(image)

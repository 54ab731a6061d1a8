# SPDX-License-Identifier: Apache-2.0
"""The accelerator's first layer, a cycle at a time, for `scripts.bench_cosim`.

Parameters of a run: those of `cosim.body_accelerator`, and ``counters`` (outputs to be read at the
end). Writes ``layer.json``: cycles, processor time in seconds, and the counters.
"""

from __future__ import annotations

import json
import time
from typing import Any

import cocotb

from cosim.bench import run_folder
from cosim.body_accelerator import Host


@cocotb.test()
async def first_layer(dut: Any) -> None:
    """Look at ``ready`` once a cycle, which is the least that a testbench does."""
    host = Host(dut)
    await host.begin()
    await host.start(host.given["images"][0], step=True)
    host.port.drive(**host.quiet() | {"step": 1})
    cycles, begun = 0, time.process_time()
    await host.port.settle()
    while not host.port.read("ready"):
        cycles += 1
        await host.port.settle()
    found = {"cycles": cycles, "seconds": time.process_time() - begun}
    counters = {name: host.port.read(name) for name in host.given["counters"]}
    text = json.dumps(found | {"counters": counters})
    (run_folder() / "layer.json").write_text(text, encoding="utf-8")

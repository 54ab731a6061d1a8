# SPDX-License-Identifier: Apache-2.0
"""Time to generate Verilog, as a whole process and inside one that is warm.

``python -m scripts.bench_gen`` runs ``python -m hw.gen`` for several blocks in turn, and prints
medians and their ratio to an interpreter that only imports Amaranth.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from hw import cli, gen, verilog

PROGRAM = "python -m scripts.bench_gen"
BLOCKS = {
    "module 16×16": ["--fmap", "16"],
    "module 256×256": ["--fmap", "256"],
    "array 16×16": ["--array"],
    "AXI4-Stream 16×16": ["--wrapper", "axis"],
}


def _seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def _seconds_inside(options: Sequence[str]) -> float:
    """Seconds of the conversion alone, the component made afresh."""
    chosen = vars(gen.parser().parse_args(options))
    start = time.perf_counter()
    product = gen.chosen_product(chosen)
    verilog.emit(product.component, product.module)
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Time the generation of Verilog.")
    parser.add_argument(
        "--runs", type=cli.integer("runs", 1, 100), default=5, metavar="COUNT",
        help="runs of each, taken in turn",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    baseline: list[float] = []
    processes: dict[str, list[float]] = {name: [] for name in BLOCKS}
    inside: dict[str, list[float]] = {name: [] for name in BLOCKS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.runs + 1):
            baseline.append(_seconds([sys.executable, "-c", "import amaranth.back.verilog"]))
            for name, block in BLOCKS.items():
                command = [sys.executable, "-m", "hw.gen", *block, "--out", f"{folder}/{name}"]
                processes[name].append(_seconds(command))
                inside[name].append(_seconds_inside(block))
    least = statistics.median(baseline[1:])  # the first round warms the caches
    results = {
        name: {
            "process_s": round(statistics.median(processes[name][1:]), 3),
            "conversion_s": round(statistics.median(inside[name][1:]), 3),
            "process_to_import": round(statistics.median(processes[name][1:]) / least, 2),
        }
        for name in BLOCKS
    }
    if options.json:
        print(json.dumps({"import_s": round(least, 3), "blocks": results}, ensure_ascii=False))
        return 0
    print(f"an interpreter that imports Amaranth: {least:.2f} s")
    for name, figures in results.items():
        print(
            f"{name:<18} whole process {figures['process_s']:.2f} s "
            f"({figures['process_to_import']:.1f} times that), "
            f"conversion {figures['conversion_s']:.2f} s"
        )
    return 0


if __name__ == "__main__":
    cli.run(main)

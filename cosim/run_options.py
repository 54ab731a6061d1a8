# SPDX-License-Identifier: Apache-2.0
"""The command line of `cosim.run`."""

from __future__ import annotations

from pathlib import Path

from hw import cli
from hw.accelerator_params import SHIFT_MODES

__all__ = ["PROGRAM", "WAVE_CYCLES", "parser"]

PROGRAM = "python -m cosim.run"

WAVE_CYCLES = 2000
"""Cycles of a waveform: some 10 MB."""


def parser() -> cli.Parser:
    """Return the parser."""
    command = cli.Parser(PROGRAM, "Run a network in RTL and compare it with the golden executor.")
    command.add_argument(
        "--intnet", type=Path, required=True, metavar="DIR", help="folder of an integer network"
    )
    command.add_argument(
        "--images", type=cli.integer("images", 1, 10_000), default=1, metavar="N",
        help="test images of CIFAR-10; more than 48 need the data set",
    )  # fmt: skip
    command.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    command.add_argument(
        "--shift", choices=(*SHIFT_MODES, "both"), default="fused",
        help="shift as read, or by passes, or run both",
    )  # fmt: skip
    command.add_argument(
        "--columns", type=cli.integer("columns", 1, 1024), default=64, metavar="COUNT",
        help="bitlines of a crossbar",
    )  # fmt: skip
    command.add_argument(
        "--columns-per-adc", type=cli.integer("columns_per_adc", 1, 256), default=8,
        metavar="COUNT", help="columns that share an ADC",
    )  # fmt: skip
    command.add_argument("--layers", action="store_true", help="print a line a layer as well")
    command.add_argument(
        "--vcd", type=Path, metavar="FILE",
        help=f"write a waveform: the first {WAVE_CYCLES} cycles of a layer, of the first image",
    )  # fmt: skip
    command.add_argument("--vcd-layer", metavar="NAME", help="that layer (default: the first one)")
    command.add_argument(
        "--counters", type=Path, metavar="FILE",
        help="write what the RTL's activity counters counted, for model.cost (of one --shift)",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    return command

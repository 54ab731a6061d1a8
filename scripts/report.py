# SPDX-License-Identifier: Apache-2.0
"""All that is known of a network on one page: ``python -m scripts.report psp_64_4_int8``.

Accuracy, executors and RTL are run now, cost is simulated; sizes, frequencies, proofs and faults
are what ``docs/results`` holds of this very network and of the RTL's generator. The page loads
nothing. In ``scripts``, since an installation has neither stored results nor documents.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cosim import simulators
from cosim.runner import BuildError
from fpga.networks import network
from hw import cli, disk
from hw.params import ParameterError
from model import intnet
from model.agreement import MismatchError
from model.checkpoint import CheckpointError
from scripts.netlist import SynthesisError
from scripts.report_facts import gather
from scripts.report_page import page

__all__ = ["main"]

PROGRAM = "python -m scripts.report"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Join all that is known of a network in one page of HTML.")
    parser.add_argument("network", metavar="NET", help="a name of the zoo, or an integer network")
    parser.add_argument(
        "--out", type=Path, default=Path("build/report.html"), metavar="FILE",
        help="the page; its figures go beside it, as .json",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=cli.integer("images", 1, 48), default=2, metavar="N", help="to run in RTL"
    )
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument(
        "--size", action="store_true", help="synthesise, if no size is stored: minutes"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".html":
        cli.bad_input(PROGRAM, f"--out must end in .html, not be {str(options.out)!r}")
    files = options.out, options.out.with_suffix(".json")
    if reason := simulators.missing("verilator"):
        cli.bad_input(PROGRAM, reason)
    try:
        names = "--out", "the figures of --out"
        read = intnet.files(network(options.network))
        disk.check_files(dict(zip(names, files, strict=True)), read)
        found = gather(
            options.network, images=options.images, data=options.data, measure_size=options.size
        )
    except (ParameterError, CheckpointError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except (MismatchError, BuildError, SynthesisError, simulators.SimulatorError) as error:
        # What an earlier run wrote says that all is equal.
        for file in files:
            file.unlink(missing_ok=True)
        return cli.failed(PROGRAM, error)
    text = json.dumps(found.facts, indent=1, ensure_ascii=False) + "\n"
    try:
        for file, content in zip(files, (page(found), text), strict=True):
            disk.write_file(file, content.encode())
    except disk.OutputError as error:
        cli.bad_input(PROGRAM, error)
    print(text if options.json else _summary(found.facts, files), end="")
    return 0


def _summary(facts: dict[str, Any], files: Sequence[Path]) -> str:
    accuracy, rtl, network = facts["accuracy"], facts["rtl"], facts["network"]
    share = 100 * accuracy["correct"] / accuracy["images"]
    lines = [
        f"{network['name']}: {network['model']}, sha256 {network['digest']}",
        f"accuracy   {share:.2f} % of {accuracy['images']:,} test images",
        *(f"equal      {count:,} numbers of {facts['executors']['images']} images: {name}"
          for name, count in facts["executors"]["compared"].items()),
    ]  # fmt: skip
    if "reason" in rtl:
        lines.append(f"RTL        not run: {rtl['reason']}")
    else:
        lines.append(f"equal      {rtl['compared']:,} numbers of {rtl['images']} images: RTL")
        lines.append(f"cycles     {rtl['cycles']:,} an image")
    return "\n".join([*lines, *map(str, files), ""])


if __name__ == "__main__":
    cli.run(main)

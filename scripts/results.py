# SPDX-License-Identifier: Apache-2.0
"""The headline figures of `docs/results.md`, joined from what other commands have stored.

``python -m scripts.results`` prints the tables; ``--update`` writes them into the page. Nothing is
measured here: each row says which command made its figure.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hw import cli, timing
from hw.accesses import accelerator_accesses, paper_accesses
from hw.image import build
from model import intnet
from model.cost.results import NOT_MODELLED
from scripts.tables import insert

__all__ = ["PAGE", "main", "tables"]

PROGRAM = "python -m scripts.results"
ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/results.md"
STORED = ROOT / "docs/results"
Row = tuple[str, str, str, str, str]
"""What, ours, the paper's, the command that made ours, and the page."""


def _json(name: str) -> Any:
    return json.loads((STORED / name).read_text("utf-8"))


def _accuracy() -> Iterator[Row]:
    paper = {(row["model"], row["dataset"]): row for row in _json("paper.json")["rows"]}
    for row in sorted(_json("accuracy.json")["rows"], key=lambda row: -row["mean"]):
        precision, adc = row["precision"], row["recipe"]["adc_bits"]
        name = {"float": "FP32"}.get(precision, precision.upper())
        if adc != 8:
            name += f", trained for ADCs of {adc} bits"
        theirs = paper.get((row["model"], row["dataset"]), {}).get(precision)
        yield (
            f"{row['model']} on {row['dataset']}, {name}: accuracy",
            f"{row['mean']:.2f} %",
            f"{theirs:.2f} %" if theirs else "–",
            "scripts.accuracy",
            "[training](training.md)",
        )


def _compression() -> Iterator[Row]:
    for run in _json("compression.json")["runs"]:
        if run["method"] != "none":
            reached = f"{100 * run['sparsity']['reached']:.0f} %"
            cycles = "" if run["cycles"] is None else f", {run['cycles']:,} cycles"
            epochs = " + ".join(map(str, run["epochs"]))
            yield (
                f"{run['network']}, {run['method']}, {reached} sparse, {epochs} epochs",
                f"{100 * run['accuracy']:.2f} % accuracy{cycles}",
                "–",
                "scripts.compression",
                "[compression](compression.md)",
            )


def _hardware() -> Iterator[Row]:
    builds = _json("bitstreams.json")["builds"]
    paper = _json("size.json")["shift"]["paper"]["16x16x8"]
    module = builds["ac701 module"]["placed"]
    yield (
        "shift module, 16×16×8, placed on Artix-7",
        f"{module['luts']} LUTs, {module['ffs']} flip-flops",
        f"{paper['lut']} LUTs, {paper['ff']} flip-flops",
        "scripts.bitstreams",
        "[fpga](fpga.md)",
    )
    whole = builds["arty_a7_35t accelerator psp_64_4"]
    size = f"{whole['placed']['luts']:,} LUTs, {whole['placed']['ffs']:,} flip-flops"
    yield (
        "psp_64_4 with weights and host link, placed on an Arty A7-35T",
        f"{size}, {whole['fmax_estimate_mhz']:.0f} MHz by estimate",
        "–",
        "scripts.bitstreams",
        "[fpga](fpga.md)",
    )
    net = intnet.read(ROOT / "model/zoo/psp_64_4_int8")
    for mode, name in (("fused", "shifted as it is read"), ("in_place", "shifted in place")):
        params = build(net, columns=64, columns_per_adc=8, mode=mode).params
        shift = accelerator_accesses(params).shift_cycles
        theirs = f"{paper_accesses(params).shift_cycles:,} to shift" if shift else "–"
        yield (
            f"psp_64_4, an image, {name}",
            f"{timing.accelerator_cycles(params):,} cycles, {shift:,} of them to shift",
            theirs,
            "scripts.accesses",
            "[accelerator](accelerator.md#cycles)",
        )


def _cost() -> Iterator[Row]:
    with (STORED / "table1.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["setting"] == "date2024"]
    units = {"utilisation": ".2f", "area": ".2f", "latency": ".2f", "efficiency": ".2f"}
    (row,) = (row for row in rows if row["row"] == "psp_256_12")
    ours, theirs = (
        "{} %, {} mm², {} ms, {} TOPS/W".format(
            *(format(float(row[key + suffix]), form) for key, form in units.items())
        )
        for suffix in ("", "_paper")
    )
    name = f"{row['row']} on RRAM crossbars: utilisation, area, latency, efficiency"
    yield name, ours, theirs, "scripts.table1", "[cost](cost.md#table-i-of-date-2024)"


def _checks() -> Iterator[Row]:
    proofs = [proof["passed"] for proof in _json("proofs.json")]
    yield (
        "proofs, each with a seeded fault that is refuted",
        f"{sum(proofs)} of {len(proofs)} proofs hold",
        "–",
        "cosim.prove", "[verification](verification.md#proofs-make-prove)",
    )  # fmt: skip
    verdicts = Counter(fault["outcome"] for fault in _json("mutation.json"))
    unseen = f"{verdicts['invisible']} proven invisible, {verdicts['missed']} missed"
    yield (
        f"{verdicts.total()} faults seeded in shift module, tile and accelerator",
        f"{verdicts['caught']} caught, {unseen}",
        "–",
        "scripts.mutate",
        "[verification](verification.md#mutation-make-mutate)",
    )


def tables() -> dict[str, str]:
    """Return the page's tables in Markdown, by the name of their marks."""
    groups = {
        "networks": (_accuracy, _compression),
        "hardware": (_hardware,),
        "cost": (_cost,),
        "checks": (_checks,),
    }
    head = ["| | ours | paper | made by | more |", "|---|---|---|---|---|"]
    found = {}
    for name, parts in groups.items():
        rows = [
            f"| {what} | **{ours}** | {paper} | `{made}` | {more} |"
            for part in parts
            for what, ours, paper, made, more in part()
        ]
        found[name] = "\n".join(head + rows)
    # The blank lines keep Markdown from reading the list as part of a comment.
    found["not-modelled"] = "\n" + "\n".join(f"- {line}" for line in NOT_MODELLED) + "\n"
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Headline figures, joined from what has been stored.")
    parser.add_argument("--update", action="store_true", help="write them into docs/results.md")
    options = parser.parse_args(arguments)
    for name, table in tables().items():
        if options.update:
            insert(PAGE, name, table)
        print(table)
    return 0


if __name__ == "__main__":
    cli.run(main)

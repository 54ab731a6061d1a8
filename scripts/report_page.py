# SPDX-License-Identifier: Apache-2.0
"""The page of `scripts.report`: no script, and nothing that it loads.

``report.html`` beside it holds the order. Style, tables and charts are those of the cost report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from fpga.pictures import CLASSES
from model.cost import report as cost_report
from model.cost.charts import legend, stacked
from model.cost.report import items, table
from model.cost.results import NOT_MODELLED, assumptions
from model.cost.text import chip_line, si
from scripts import report_pictures
from scripts.report_facts import Found

__all__ = ["page"]

_TEMPLATE = Path(__file__).with_name("report.html")


def page(found: Found) -> str:
    """Return the page; the same for the same figures."""
    facts = found.facts
    network = facts["network"]
    return Template(_TEMPLATE.read_text("utf-8")).substitute(
        style=cost_report.style(),
        title=escape(network["name"]),
        about=escape(_about(network)),
        digest=network["digest"],
        keys=_keys(
            facts, f"{found.cost.config.name}, ADCs of {found.cost.config.adc_levels} levels"
        ),
        data_path=report_pictures.data_path(found.net, found.image, found.pixels[0]),
        accuracy=_accuracy(found),
        exactness=_exactness(facts),
        timing=_timing(facts),
        size=_size(facts),
        cost=_cost(found),
        moves=_moves(found),
        trust=_trust(facts["trust"]),
        command=escape(f"python -m scripts.report {network['name']}"),
    )


def _about(network: Mapping[str, Any]) -> str:
    pages = "" if network["pages"] is None else f", {network['pages']} crossbar pages"
    return (
        f"{network['model']}: {network['layers']} layers of {network['weights']:,} weights{pages}; "
        f"activations of {network['act_bits']} bits, weights of {network['weight_bits']} in cells "
        f"of {network['cell_bits']}, maps of {network['stream_bits']}, ADCs of "
        f"{network['adc_bits']}, {network['array_rows']} rows a crossbar"
    )


def _keys(facts: Mapping[str, Any], chip: str) -> str:
    """Return the figures that a reader looks for first; of cost, for which chip."""
    accuracy, rtl, cost = facts["accuracy"], facts["rtl"], facts["cost"]
    share = 100 * accuracy["correct"] / accuracy["images"]
    of = f"test images of {_data_set(accuracy)}"
    found = [(f"{share:.2f} %", f"of {accuracy['images']:,} {of}, integers only")]
    if accuracy["reason"] and accuracy["card"] is not None:
        # A few images say little; they are further down.
        found = [(f"{accuracy['card']} %", f"of all {of}, by the network's card")]
    if "reason" in rtl:
        found.append(("not run", "in RTL"))
    else:
        found += [
            ("0 mismatches", f"RTL, {rtl['compared']:,} numbers of {rtl['images']} images"),
            (f"{rtl['cycles']:,}", f"cycles an image, {rtl['shift_cycles']:,} of them for shifts"),
        ]
    for board in facts["boards"][:1]:
        speed = 1e6 * board["clock_mhz"] / board["cycles_an_image"]
        found.append(
            (f"{speed:.0f} images/s", f"{board['board']}, {board['clock_mhz']:g} MHz, estimated")
        )
    if facts["size"]:
        whole = facts["size"]["modes"]["fused"]["whole"]
        found.append(
            (f"{whole['lut']:,} LUT", f"{whole['ff']:,} FF, {whole['block_rams']} block RAM")
        )
    found += [
        (si(cost["energy_j"], "J"), f"an image on RRAM, by the cost model: {chip}"),
        (si(cost["latency_s"], "s"), f"an image on RRAM, by the cost model: {chip}"),
        (f"{1e6 * cost['area_m2']:.2f} mm²", f"of RRAM crossbars and periphery: {chip}"),
    ]
    cells = (f'<div class="key"><b>{escape(b)}</b><span>{escape(s)}</span></div>' for b, s in found)
    return f'<div class="keys">{"".join(cells)}</div>'


def _absent(text: str) -> str:
    return f'<p class="absent-figure">{escape(text)}</p>'


def _data_set(accuracy: Mapping[str, Any]) -> str:
    """Return the name of the images on which a network is judged, whatever it was trained on."""
    return str(accuracy["dataset"]).replace("cifar", "CIFAR-")


def _accuracy(found: Found) -> str:
    accuracy, rtl = found.facts["accuracy"], found.facts["rtl"]
    share = 100 * accuracy["correct"] / accuracy["images"]
    rows = [("fast executor, now", f"{accuracy['images']:,}", f"{accuracy['correct']:,}",
             f"{share:.2f}")]  # fmt: skip
    if accuracy["card"] is not None:
        rows.append(("the network's card", "10,000", "", accuracy["card"]))
    parts = [table(("by", "images", "correct", "%"), rows)]
    if accuracy["reason"]:
        parts.append(_absent(f"All test images: not measured. {accuracy['reason']}"))
    parts.append(report_pictures.curve(accuracy["curve"]))
    parts.append(f"<h3>The first {len(found.pixels)} test images of {_data_set(accuracy)}</h3>")
    names = CLASSES[accuracy["dataset"]]
    pictures, in_rtl = found.facts["pictures"], rtl.get("images", 0)
    parts.append(report_pictures.answers(pictures, found.pixels, names, in_rtl))
    parts.append('<p class="soft">Bars are logits, int32; the strong one is the answer, the bold '
                 "name the label.</p>")  # fmt: skip
    return "\n".join(parts)


def _exactness(facts: Mapping[str, Any]) -> str:
    executors, rtl, every = facts["executors"], facts["rtl"], facts["all_images"]
    maps, all_ = "every map", "every accumulator, requantised value and map"
    rows = [
        (name, maps if name.startswith("model.") else all_, str(executors["images"]),
         f"{count:,}", "0")
        for name, count in executors["compared"].items()
    ]  # fmt: skip
    if "reason" not in rtl:
        what = f"every map, cycles of every layer ({rtl['mode']})"
        rows.append(("RTL, Verilator", what, str(rtl["images"]), f"{rtl['compared']:,}", "0"))
    if every:
        rows.append(("RTL, all test images", "logits, cycles of an image", f"{every['images']:,}",
                     f"{every['logits']:,}", "0"))  # fmt: skip
    parts = [
        "<p>Each against the golden executor (int64), without any tolerance.</p>",
        table(("by", "compared", "images", "numbers", "mismatches"), rows, kind="facts"),
    ]
    parts += [_absent(f"{name}: not compared; {why}") for name, why in executors["absent"].items()]
    if "reason" in rtl:
        parts.append(_absent(f"RTL: not run; {rtl['reason']}"))
    if every:
        now = "; the fast executor gives the same logits now" if every["compared_now"] else ""
        parts.append(
            f'<p class="soft">All test images in RTL are a stored record: {every["cycles"]:,} '
            f"cycles, {every['correct']:,} of {every['images']:,} classified correctly{now}.</p>"
        )
    else:
        parts.append(_absent("All test images in RTL: no record of this network is stored"))
    return "\n".join(parts)


def _timing(facts: Mapping[str, Any]) -> str:
    timing = facts["timing"]
    if timing is None:
        return _absent("The accelerator does not run this network")
    bars = [
        (
            layer["name"],
            {
                "multiplying": layer["bound"],
                "waiting": layer["cycles"] - layer["bound"],
                "shift": layer["shift_cycles"],
            },
        )
        for layer in timing["layers"]
    ]
    over = 100 * (timing["cycles"] / timing["bound"] - 1)
    text = (
        f"{timing['cycles']:,} cycles an image, {over:.2f} % above what loading rows and "
        "converting columns take at least. Simulation counts the same in every layer."
    )
    parts = [
        f"<p>{text}</p>",
        legend(bars[0][1]),
        stacked(bars, "cycles", shares=False),
    ]
    rows = [
        (
            board["board"], f"{board['fmax_estimate_mhz']:.1f}", f"{board['clock_mhz']:g}",
            f"{1e6 * board['clock_mhz'] / board['cycles_an_image']:.1f}",
            f"{1e3 * board['cycles_an_image'] / (1e6 * board['clock_mhz']):.3f}",
        )
        for board in facts["boards"]
    ]  # fmt: skip
    if rows:
        head = ("board", "fmax MHz, estimate", "clock MHz", "images/s", "ms an image")
        parts.append(table(head, rows))
    else:
        parts.append(_absent("Frequency: no bitstream of this network is stored"))
    return "\n".join(parts)


def _size(facts: Mapping[str, Any]) -> str:
    parts = []
    if facts["size"]:
        rows = []
        for mode, found in facts["size"]["modes"].items():
            whole = found["whole"]
            rows.append(
                (f"{mode.replace('_', ' ')}, before packing",
                 *(f"{whole[key]:,}" for key in ("lut", "ff", "block_rams", "dsp")))
            )  # fmt: skip
        for board in facts["boards"]:
            use, has = board["placed"], board["limits"]
            blocks = use["ramb36"] + use["ramb18"] / 2
            rows.append((
                f"{board['board']}, with host link, as placed",
                f"{use['luts']:,} of {has['luts']:,}", f"{use['ffs']:,} of {has['ffs']:,}",
                f"{blocks:g} of {has['block_rams']}", "0",
            ))  # fmt: skip
        parts.append(table(("the whole accelerator on Artix-7", "LUT", "FF", "block RAM", "DSP"),
                           rows))  # fmt: skip
        blocks = facts["size"]["modes"]["fused"]["blocks"]
        bars = sorted(
            (
                (name.removeprefix("accelerator."), {"cells": found["lut"]})
                for name, found in blocks.items()
                if found["lut"]
            ),
            key=lambda bar: -bar[1]["cells"],
        )
        parts += [
            "<h3>LUTs by block, fused</h3>",
            stacked(bars, "LUT", shares=False),
            '<p class="soft">Yosys, before packing; a crossbar is its digital stand-in.</p>',
        ]
    else:
        parts.append(_absent("Not measured for this network: --size synthesises it"))
    return "\n".join(parts)


def _cost(found: Found) -> str:
    cost = found.cost
    return "\n".join([
        f'<p class="soft">{escape(chip_line(cost.config))}</p>',
        items(assumptions(cost)),
        cost_report.summary([cost]),
        cost_report.breakdown([cost]),
        cost_report.by_layer(cost),
        "<h3>The shift, in each of its modes</h3>", cost_report.shift(cost),
        "<details><summary>Layers</summary>", cost_report.layers(cost), "</details>",
        "<details><summary>Configuration</summary>", cost_report.configurations([cost]),
        "</details>",
        f'<p class="soft">Not modelled: {escape("; ".join(NOT_MODELLED))}.</p>',
    ])  # fmt: skip


def _moves(found: Found) -> str:
    drawn = report_pictures.moves(found.net, found.trace)
    if not drawn:
        return _absent("No layer of this network reads a shifted map")
    return (
        "<p>Each direction's walk over a small map, one pixel a cycle, from the large dot; hollow "
        "pixels receive 0. Below, a channel of the first shifted map of image 0, before and after."
        f"</p>{drawn}"
    )


def _trust(trust: Sequence[Mapping[str, str]]) -> str:
    rows = []
    for figure in trust:
        command = figure["command"].split(" --")[0]
        by = command if command.startswith("make ") else f"python -m {command}"
        rows.append((figure["what"].replace("`", ""), figure["shown"], by))
    return (
        "<p>Of the RTL's generator and of the programs, whatever the network; stored, not run now."
        f"</p>{table(('counted', 'result', 'by'), rows, kind='text wrap')}"
    )

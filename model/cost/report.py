# SPDX-License-Identifier: Apache-2.0
"""One page of HTML about the cost of networks: no script, and nothing that it loads.

``report.html`` beside it holds the order, ``report.css`` and ``wide.css`` the style. With a single
page of tables and SVG whose shapes are computed anyway, `string.Template` does what a template
engine would, without another dependency of this leaf. `scripts.report` takes style and parts from
here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from model.cost.avoided import avoided
from model.cost.charts import crossbars, legend, scale, stacked
from model.cost.components import ANALOG
from model.cost.config import Config, keys
from model.cost.occupancy import Occupancy, occupancy
from model.cost.placement import LayerMapping
from model.cost.results import (
    NOT_MODELLED,
    area_groups,
    assumptions,
    energy_groups,
    latency_groups,
    layer_row,
    shift_modes,
)
from model.cost.simulate import ChipCost
from model.cost.technology import CONSTANTS_FILE, REFERENCE_NM
from model.cost.text import chip_line, si

__all__ = ["breakdown", "by_layer", "configurations", "items", "layers", "page", "shift", "style",
           "summary", "table"]  # fmt: skip

_TEMPLATE = Path(__file__).with_suffix(".html")
_STYLES = (Path(__file__).with_name("wide.css"), Path(__file__).with_suffix(".css"))
_UTILISATION = ("copies %", "unique %", "arrays %")


def page(costs: Sequence[ChipCost], warnings: Sequence[str] = ()) -> str:
    """Return the page; the same for the same costs.

    Parameters
    ----------
    costs : sequence of ChipCost
        At least one.
    warnings : sequence of str
        What a reader must know before comparing them.
    """
    names = ", ".join(dict.fromkeys(cost.network for cost in costs))
    return Template(_TEMPLATE.read_text("utf-8")).substitute(
        style=style(),
        title=escape(f"{names}: area, latency and energy on RRAM crossbars"),
        warnings=items(warnings, "warning"),
        summary=summary(costs),
        breakdown=f"<h2>Where it goes</h2>\n{breakdown(costs)}",
        avoided=_avoided(costs),
        networks="\n".join(map(_network, costs)),
        configurations=f"<h2>Configuration</h2>\n{configurations(costs)}",
        constants=_constants(),
        not_modelled=items(NOT_MODELLED),
    )


def style() -> str:
    """Return the style sheet that all parts need."""
    return "".join(file.read_text("utf-8") for file in _STYLES)


def summary(costs: Iterable[ChipCost]) -> str:
    """Return a table of the chips, a line each."""
    head = ("network", "area mm²", "latency ms", "of it shift", "energy µJ", "analog", "digital",
            "TOPS/W", "tiles", *_UTILISATION)  # fmt: skip
    rows = [
        (
            cost.network,
            f"{1e6 * cost.area:.3f}",
            f"{1e3 * cost.latency:.4f}",
            f"{1e3 * cost.shift.latency_s:.4f}",
            f"{1e6 * cost.energy:.3f}",
            f"{1e6 * cost.analog_energy:.3f}",
            f"{1e6 * cost.digital_energy:.3f}",
            f"{cost.tops_per_watt():.3f}",
            f"{cost.mapping.tiles} of {cost.mapping.tile_side}²" if cost.mapping.tiles else "none",
            *_percent(cost.mapping.utilisation, cost.mapping.unique_utilisation,
                      cost.mapping.array_utilisation),
        )
        for cost in costs
    ]  # fmt: skip
    return table(head, rows) + (
        '<p class="soft">An image. Three utilisations: with copies counted as used, as the papers '
        "do; of unique weights, which are what the chip stores; by arrays, over the cells of the "
        "crossbars that one copy needs. Analog is what stands between a wordline and an ADC's "
        "code.</p>"
    )


def breakdown(costs: Sequence[ChipCost]) -> str:
    """Return charts of the shares of area, latency and energy, a bar a chip."""
    parts = []
    for what, unit, groups in (
        ("Area", "m²", area_groups),
        ("Latency", "s", latency_groups),
        ("Energy", "J", energy_groups),
    ):
        rows = [(cost.network, groups(cost)) for cost in costs]
        parts += [f"<h3>{what}</h3>", stacked(rows, unit, shares=True), legend(rows[0][1])]
    return "\n".join(parts)


def _avoided(costs: Iterable[ChipCost]) -> str:
    rows = [
        (cost.network, name, f"{cells / 1000:,.0f}", f"{1e6 * area:.3f}", si(energy, "J"))
        for cost in costs
        for name, cells, area, energy in avoided(cost)
    ]
    return (
        f"<h2>What it avoids</h2>{table(('network', '', 'cells, k', 'area mm²', 'energy'), rows)}"
        '<p class="soft">What tables for sparsity and floating-point scales would add, by the '
        "factors of Huai et al.; both together are assumed to be their product.</p>"
    )


def _network(cost: ChipCost) -> str:
    return "\n".join([
        f"<h2>{escape(cost.network)}</h2>",
        f'<p class="soft">{escape(chip_line(cost.config))}</p>',
        items(assumptions(cost)),
        "<h3>Layers</h3>", layers(cost),
        "<h3>Components</h3>", _components(cost),
        by_layer(cost),
        "<h3>Cells of each layer</h3>", _maps(cost),
        "<h3>The shift</h3>", shift(cost),
    ])  # fmt: skip


def by_layer(cost: ChipCost) -> str:
    """Return charts of energy and latency, a bar a layer."""
    latency = [(layer.name, latency_groups(layer)) for layer in cost.layers]
    energy = [(layer.name, energy_groups(layer)) for layer in cost.layers]
    return "\n".join([
        "<h3>Energy by layer</h3>", legend(energy[0][1]), stacked(energy, "J", shares=False),
        "<h3>Latency by layer</h3>", legend(latency[0][1]), stacked(latency, "s", shares=False),
    ])  # fmt: skip


def layers(cost: ChipCost) -> str:
    """Return a table of the layers, and of their sum."""
    head = ("layer", "R×C", "vectors", "tiles", "copies", *_UTILISATION, "activity", "latency µs",
            "energy nJ", "analog", "shift cycles")  # fmt: skip
    rows = []
    for row in (layer_row(cost, layer) for layer in cost.layers):
        rows.append((
            row["layer"], f"{row['rows']}×{row['columns']}", f"{row['vectors']:,}",
            str(row["tiles"]), str(row["copies"]),
            *_percent(row["utilisation_with_copies"], row["utilisation_unique_weights"],
                      row["utilisation_by_arrays"]),
            f"{row['activity']:.3f}" + (" assumed" if row["activity_is"] == "assumed" else ""),
            f"{1e6 * row['latency_s']:.3f}", f"{1e9 * row['energy_j']:.3f}",
            f"{1e9 * row['analog_energy_j']:.3f}", f"{row['shift_cycles']:,}",
        ))  # fmt: skip
    mapping = cost.mapping
    rows.append((
        "total", "", "", str(mapping.tiles), "",
        *_percent(mapping.utilisation, mapping.unique_utilisation, mapping.array_utilisation),
        "", f"{1e6 * cost.latency:.3f}", f"{1e9 * cost.energy:.3f}",
        f"{1e9 * cost.analog_energy:.3f}", f"{cost.shift.cycles:,}",
    ))  # fmt: skip
    return table(head, rows, total=True)


def _components(cost: ChipCost) -> str:
    area = cost.area_m2
    latency = cost.latency_s | {"shift": cost.shift.latency_s}
    energy = cost.energy_j | {"leakage": cost.leakage, "shift": cost.shift.energy_j}
    rows = [
        (
            name,
            "analog" if name in ANALOG else "digital",
            f"{1e6 * area[name]:.4f}" if name in area else "",
            si(latency[name], "s") if name in latency else "",
            si(energy[name], "J") if name in energy else "",
        )
        for name in dict.fromkeys((*area, *latency, *energy))
    ]
    total = ("total", "", f"{1e6 * cost.area:.4f}", si(cost.latency, "s"), si(cost.energy, "J"))
    return table(
        ("component", "domain", "area mm²", "latency", "energy"), [*rows, total], total=True
    )


def _maps(cost: ChipCost) -> str:
    """Return a map for each different way in which layers lie, with the names of these layers."""
    alike: dict[Occupancy, list[LayerMapping]] = {}
    for mapped in cost.mapping.layers:
        alike.setdefault(occupancy(mapped, cost.mapping), []).append(mapped)
    pixels = scale(alike)
    figures = [
        f"<figure>{crossbars(shown, pixels)}<figcaption>{_caption(layers)}</figcaption></figure>"
        for shown, layers in alike.items()
    ]
    colours = ["used", "copied", "idle"]
    colours += ["absent"] if any(shown.absent for shown in alike) else []
    return f'{legend(colours)}<div class="maps">{"".join(figures)}</div>'


def _caption(layers: Sequence[LayerMapping]) -> str:
    first, last = layers[0], layers[-1]
    copies = "1 copy" if first.copies == 1 else f"{first.copies} copies"
    name = first.layer.name
    if len(layers) > 1:
        name += f" … {last.layer.name}, {len(layers)} layers"
    return (
        f"<b>{escape(name)}</b><br>{first.rows}×{first.columns} cells, {copies}: "
        f"{100 * first.utilisation:.2f} % used, {100 * first.unique_utilisation:.2f} % unique"
    )


def shift(cost: ChipCost) -> str:
    """Return a table and a chart of what the shift would take in each mode."""
    head = ("mode", "cycles", "latency", "share %", "pixels moved", "energy", "share %")
    without = (cost.latency - cost.shift.latency_s, cost.energy - cost.shift.energy_j)
    rows, bars = [], []
    for mode, each in shift_modes(cost).items():
        name = f"{mode} (chosen)" if mode == cost.config.shift else mode
        bars.append((name, {"crossbars": without[0], "shift": each.latency_s}))
        rows.append((
            name, f"{each.cycles:,}", si(each.latency_s, "s"),
            f"{100 * each.latency_s / (without[0] + each.latency_s):.3f}",
            f"{each.moved_pixels:,}", si(each.energy_j, "J"),
            f"{100 * each.energy_j / (without[1] + each.energy_j):.3f}",
        ))  # fmt: skip
    chart = stacked(bars, "s", shares=False)
    return f"{table(head, rows)}{legend(bars[0][1])}{chart}"


def configurations(costs: Iterable[ChipCost]) -> str:
    """Return each configuration once, with the networks that it is of."""
    users: dict[Config, list[str]] = {}
    for cost in costs:
        users.setdefault(cost.config, []).append(cost.network)
    parts = []
    for config, names in users.items():
        rows = [
            (
                key.name,
                key.show(getattr(config, key.name)),
                key.about,
                config.sources.get(key.name, ""),
                f"must be equal: {key.equal}" if key.equal else "a design may choose",
            )
            for key in keys()
        ]
        about = f"{config.name}, for {', '.join(names)}: {config.about}"
        head = ("key", "value", "is", "source", "in a comparison")
        parts += [f"<p>{escape(about)}</p>", table(head, rows, kind="text")]
    return "\n".join(parts)


def _constants() -> str:
    """Return the fitted constants, folded away."""
    stored = tomllib.loads(CONSTANTS_FILE.read_text("utf-8"))
    rows = [
        (name, f"{each['value']:g}", each["unit"], each["about"], each["source"])
        for name, each in stored.items()
    ]
    shown = table(("constant", "value", "unit", "is", "source"), rows, kind="text")
    head = f"<summary>{len(rows)} constants, at {REFERENCE_NM:g} nm</summary>"
    return f"<details>{head}{shown}</details>"


def _percent(*values: float) -> tuple[str, ...]:
    return tuple(f"{100 * value:.2f}" for value in values)


def items(texts: Iterable[str], kind: str = "") -> str:
    """Return a list of texts, nothing for none; ``kind`` is a class of the style sheet."""
    lines = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="{kind}">{lines}</ul>' if lines else ""


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, total: bool = False, kind: str = ""
) -> str:
    """Return a table; ``total`` sets off its last row."""
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    shown = [f"<tr>{line}</tr>" for line in lines]
    if total:
        shown[-1] = f'<tr class="total">{lines[-1]}</tr>'
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>\n{chr(10).join(shown)}\n</tbody></table></div>"
    )

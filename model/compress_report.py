# SPDX-License-Identifier: Apache-2.0
"""What compression made of an integer network: weights of 0, pages that need no crossbar.

A page of weights that are all 0 (U = Z) is neither stored nor visited. A leaf.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from model.intnet import Crossbar, IntNet

__all__ = ["LayerCount", "absent_pages", "count", "table", "totals"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerCount:
    """Weights and pages of a crossbar layer."""

    name: str
    weights: int
    zeros: int
    pages: int
    absent: int


def absent_pages(layer: Crossbar, *, rows: int, outputs: int) -> npt.NDArray[np.bool_]:
    """Tell which pages hold nothing but zeros: bool [row tiles, column groups].

    Parameters
    ----------
    layer : Crossbar
    rows, outputs : int
        Of a page; the last ones may be smaller.
    """
    used = layer.weights != layer.zero_point
    tiles, groups = (range(0, n, step) for n, step in zip(used.shape, (rows, outputs), strict=True))
    found = [[not used[i : i + rows, j : j + outputs].any() for j in groups] for i in tiles]
    return np.array(found, np.bool_)


def count(net: IntNet, *, rows: int, columns: int) -> list[LayerCount]:
    """Count weights and pages of all crossbar layers, on crossbars of that many cells."""
    found = []
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            outputs = max(1, columns // -(-layer.weight_bits // net.cell_bits))
            absent = absent_pages(layer, rows=rows, outputs=outputs)
            zeros = int((layer.weights == layer.zero_point).sum())
            found.append(
                LayerCount(
                    name=layer.name, weights=layer.weights.size, zeros=zeros,
                    pages=absent.size, absent=int(absent.sum()),
                )
            )  # fmt: skip
    return found


def totals(layers: list[LayerCount]) -> LayerCount:
    """Return the sums of some layers."""
    names = ("weights", "zeros", "pages", "absent")
    return LayerCount(name="all", **{n: sum(getattr(each, n) for each in layers) for n in names})


def table(report: dict[str, Any]) -> str:
    """Return a report as text, a line a layer; of floats, whose pages nobody counts, two."""
    accuracy = report["accuracy"]
    before, after = (f"{100 * accuracy[when]:.2f} % {when}" for when in ("before", "after"))
    if "layers" not in report:
        zeros = report["zeros"]
        return f"zeros: {zeros['zeros']} of {zeros['weights']} weights\naccuracy: {before}, {after}"
    sparsity = report["sparsity"]
    lines = [f"{'layer':<24}{'weights':>10}{'zeros, %':>10}{'pages':>8}{'absent':>8}"]
    for each in [*report["layers"], report["total"]]:
        share = 100 * each["zeros"] / each["weights"]
        lines.append(
            f"{each['name']:<24}{each['weights']:>10}{share:>10.2f}"
            f"{each['pages']:>8}{each['absent']:>8}"
        )
    total, shrunk = report["total"], report["shrunk"]
    used = shrunk["pages"] - shrunk["absent"]
    lines.append(f"pages: {total['pages']} before, {used} without absent ones and idle channels")
    lines.append(f"accuracy: {before}, {after}")
    energy = report["energy_pj"]
    before = "unknown" if energy["before"] is None else f"{energy['before']:.0f} pJ"
    lines.append(
        f"a read of all cells, with conversions: {before} before, {energy['after']:.0f} pJ after, "
        f"without masked rows"
    )
    lines.append(f"sparsity: {sparsity['asked']:g} asked, {sparsity['reached']:.4f} reached")
    return "\n".join(lines)

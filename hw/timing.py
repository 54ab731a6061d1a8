# SPDX-License-Identifier: Apache-2.0
"""Cycles of every block, as functions of its parameters.

A leaf: the standard library and the parameters only.

Co-simulation asserts that these are *equal* to what the RTL takes, the proofs use them as bounds,
and the cost model charges them. A formula is written once, as terms; its text is in the JSON beside
the generated Verilog.
"""

from __future__ import annotations

import functools

from hw.accelerator_params import AcceleratorParams, LayerEntry
from hw.formula import Formula, Largest
from hw.params import ArrayParams, ShiftParams, check_integer
from hw.skip_timing import last_sum
from hw.tile_params import TileParams

__all__ = [
    "ABSENT_PAGE",
    "ARRAY",
    "AXIS",
    "CROSSBAR_LATENCY",
    "FETCH_LATENCY",
    "LEAD",
    "PACE",
    "PAGE",
    "PAPER",
    "PERIOD",
    "READER",
    "REQUANT_LATENCY",
    "SHIFT",
    "SUM_LATENCY",
    "TILE",
    "WRITE_LATENCY",
    "accelerator_bound",
    "accelerator_cycles",
    "array_cycles",
    "axis_cycles",
    "layer_bound",
    "layer_cycles",
    "mask_cycles",
    "page_cycles",
    "paper_cycles",
    "pass_cycles",
    "queue_depth",
    "reader_cycles",
    "shift_cycles",
    "skipping_cycles",
    "tile_cycles",
]

SHIFT = Formula(((1, ("channels", "height", "width")), (2, ())))
ARRAY = Formula(((1, ("blocks", "group", "height", "width")), (2, ())))
AXIS = Formula(((3, ("maps", "height", "width")), (2, ("maps",))))
READER = Formula(((0, ()),))
PAPER = Formula(((1, ("group", "height", "width")),))

CROSSBAR_LATENCY = 3
"""From a sample to its codes: read, count, add; a macro behind the same ports takes as long."""

SUM_LATENCY = CROSSBAR_LATENCY + 3
"""From a sample to the first sum that it completes: one cycle to shift and add, two to queue."""

REQUANT_LATENCY = 5
"""From a sum to its output."""

FETCH_LATENCY = 3
"""From a layer's beginning to its first activation: one cycle each to begin, read and round."""

WRITE_LATENCY = 4
"""From a layer's last output to its last write, that of a second affine or of a pooled sum."""

# `more_x` stands for x − 1.
LEAD = Largest(
    (Formula(((1, ("more_planes", "columns_per_adc")),)), Formula(((1, ("weight_bits",)),)))
)
PAGE = Formula(((1, ("lead",)), (1, ("columns_per_adc",))))
ABSENT_PAGE = Formula(((1, ("columns_per_adc",)),))
PACE = Largest((Formula(((1, ("page",)),)), Formula(((1, ("outputs",)),))))
PERIOD = Largest((Formula(((1, ("rows",)),)), Formula(((1, ("pages", "pace")),))))
TILE = Formula(
    (
        (1, ("rows",)),
        (1, ("lead",)),
        (1, ("outputs",)),
        (1, ("more_pages", "pace")),
        (1, ("more_vectors", "period")),
        (SUM_LATENCY + REQUANT_LATENCY, ()),
    )
)


def shift_cycles(params: ShiftParams, *, channels: int = 1) -> int:
    """Cycles of a ShiftModule for channels back to back: channels·H·W + 2, in every direction.

    Counted from the cycle that takes the first ``start`` to the last ``done``, both included:
    one cycle in IDLE, one in CONFIG, then one a pixel; a ``start`` in a channel's last cycle
    costs nothing (hardware: the next first address is set up by the edge that ends it).
    """
    check_integer("channels", channels, 1, 1 << 32)
    return SHIFT(channels=channels, height=params.height, width=params.width)


def array_cycles(params: ArrayParams, *, blocks: int = 1) -> int:
    """Cycles of a ShiftArray for shift blocks back to back: blocks·g·H·W + 2."""
    check_integer("blocks", blocks, 1, 1 << 32)
    shift = params.shift
    return ARRAY(blocks=blocks, group=params.group, height=shift.height, width=shift.width)


def axis_cycles(params: ShiftParams, *, maps: int = 1) -> int:
    """Cycles of the AXI4-Stream wrapper: maps·(3·H·W + 2), if neither side ever waits.

    Counted from a map's first beat in to its last beat out, both included, maps back to back:
    H·W beats in, the module's H·W pixels with its CONFIG, one cycle to fetch the first pixel,
    H·W beats out. Each cycle in which a side holds the other up adds one.
    """
    check_integer("maps", maps, 1, 1 << 32)
    return AXIS(maps=maps, height=params.height, width=params.width)


def reader_cycles() -> int:
    """Cycles that a ShiftedReader adds to a plain read: 0. It writes nothing either."""
    return READER()


def paper_cycles(params: ArrayParams) -> int:
    """Cycles of a shift block in the paper's latency table: g·H·W, with no overhead.

    Its figures (DATE 2024, Table IV) are exactly 21·256 ns a block at 1 GHz: 21 channels a group,
    one pixel a cycle, eight lanes.
    """
    shift = params.shift
    return PAPER(group=params.group, height=shift.height, width=shift.width)


def page_cycles(params: TileParams, *, planes: int | None = None) -> int:
    """Cycles of a page in a tile: max((planes − 1)·columns_per_adc, weight_bits) + columns_per_adc.

    Which is planes·columns_per_adc unless the planes before the last are over before Z·ΣQ is
    there, a bit of Z a cycle. A page that no crossbar stores takes columns_per_adc cycles.

    Parameters
    ----------
    params : TileParams
    planes : int, optional
        Bit planes of the layer, 2…act_bits (default: act_bits).
    """
    planes = check_integer(
        "planes", params.act_bits if planes is None else planes, 2, params.act_bits
    )
    return PAGE(lead=_lead(params, planes), columns_per_adc=params.columns_per_adc)


def queue_depth(params: TileParams) -> int:
    """Words of a tile's queue: a page's, and as many as are on their way.

    So a page need not wait for the sums of the one before to leave, unless they are more than its
    cycles.
    """
    return params.columns_per_adc + SUM_LATENCY


def tile_cycles(
    params: TileParams,
    *,
    vectors: int = 1,
    pages: int = 1,
    rows: int | None = None,
    planes: int | None = None,
) -> int:
    """Cycles of a tile for vectors back to back, each multiplied with as many pages.

    Counted from the first activation in to the last output out, both included, if neither side
    ever waits: the first vector is loaded; then vectors follow each other every
    max(rows, pages·max(page, outputs)) cycles, since the next one is loaded meanwhile, and one
    output leaves a cycle.

    Parameters
    ----------
    params : TileParams
    vectors, pages : int
        Vectors, and commands for each, all ``complete``, with a stored page.
    rows : int, optional
        Rows that are loaded, 1…rows (default: all).
    planes : int, optional
        Bit planes of the layer, 2…act_bits (default: act_bits).
    """
    check_integer("vectors", vectors, 1, 1 << 32)
    check_integer("pages", pages, 1, 1 << 32)
    rows = check_integer("rows", params.rows if rows is None else rows, 1, params.rows)
    planes = check_integer(
        "planes", params.act_bits if planes is None else planes, 2, params.act_bits
    )
    pace = PACE(page=page_cycles(params, planes=planes), outputs=params.outputs)
    return TILE(
        rows=rows,
        lead=_lead(params, planes),
        outputs=params.outputs,
        more_pages=pages - 1,
        pace=pace,
        more_vectors=vectors - 1,
        period=PERIOD(rows=rows, pages=pages, pace=pace),
    )


@functools.lru_cache
def skipping_cycles(
    params: TileParams, visited: tuple[bool, ...], *, vectors: int, rows: int, planes: int
) -> int:
    """Cycles of a tile that skips some pages, each of which takes a cycle; as `tile_cycles`.

    Parameters
    ----------
    params : TileParams
    visited : tuple of bool
        Of each page of a vector, whether some crossbar stores it.
    vectors, rows, planes : int
        As of `tile_cycles`.
    """
    return REQUANT_LATENCY + last_sum(
        visited,
        vectors=vectors,
        rows=rows,
        lead=_lead(params, planes),
        words=params.columns_per_adc,
        units=params.units,
        latency=SUM_LATENCY,
        depth=queue_depth(params),
    )


def mask_cycles(layer: LayerEntry) -> int:
    """Cycles in which the masks of a layer are made: column groups·2^width, 0 if there are none.

    A register takes one to load and 2^width − 1 to come to all its states; those of all crossbars
    run side by side.
    """
    return len(layer.masks) << layer.masks[0][0].width if layer.masks else 0


def layer_cycles(params: AcceleratorParams, layer: LayerEntry) -> int:
    """Cycles of a layer of the accelerator, from its beginning to its last write.

    Those of its masks (`mask_cycles`), the tile's, for as many vectors as the map has pixels (the
    head: one), and the latencies of fetch and write. A pass that shifts in place comes on top
    (`pass_cycles`).
    """
    vectors = 1 if layer is params.layers[-1] else params.shift.pixels
    work = {"vectors": vectors, "rows": layer.rows, "planes": layer.act_bits}
    if all(layer.visited):
        tile = tile_cycles(params.tile, pages=layer.groups, **work)
    else:
        tile = skipping_cycles(params.tile, layer.visited, **work)
    return mask_cycles(layer) + FETCH_LATENCY + tile + WRITE_LATENCY


def pass_cycles(params: AcceleratorParams, layer: LayerEntry) -> int:
    """Cycles of the pass that shifts a map in place before a layer; 0 if there is none."""
    if layer.shift_first is None:
        return 0
    return shift_cycles(params.shift, channels=params.moved[0])


def accelerator_cycles(params: AcceleratorParams) -> int:
    """Cycles of an image: from the cycle after ``start`` on, as long as ``ready`` is low."""
    return sum(layer_cycles(params, layer) + pass_cycles(params, layer) for layer in params.layers)


def layer_bound(params: AcceleratorParams, layer: LayerEntry) -> int:
    """Cycles that a layer takes at least: pixels·max(rows, groups·planes·columns_per_adc).

    Of column groups of which some crossbar stores a page. One vector is loaded while the one before
    is multiplied, and nothing else is waited for.
    """
    vectors = 1 if layer is params.layers[-1] else params.shift.pixels
    groups = sum(layer.visited)
    return vectors * max(layer.rows, groups * layer.act_bits * params.tile.columns_per_adc)


def accelerator_bound(params: AcceleratorParams) -> int:
    """Cycles that an image takes at least: those of its layers."""
    return sum(layer_bound(params, layer) for layer in params.layers)


def _lead(params: TileParams, planes: int) -> int:
    """Cycles of a page before its last plane."""
    return LEAD(
        more_planes=planes - 1,
        columns_per_adc=params.columns_per_adc,
        weight_bits=params.weight_bits,
    )

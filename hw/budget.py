# SPDX-License-Identifier: Apache-2.0
"""Block RAM that an accelerator takes on an Artix-7, memory by memory, and which boards have it.

Counted from the shapes that a block RAM can have, and from what one is worth to synthesis: a memory
of few bits becomes flip-flops.
"""

from __future__ import annotations

import dataclasses

from hw.accelerator_params import AcceleratorParams
from hw.load import payloads
from hw.memory import BLOCK_BITS, BLOCK_WORDS
from hw.tile_params import ACC_BITS
from hw.timing import queue_depth

__all__ = ["BOARDS", "Store", "boards", "halves", "stores"]

BOARDS = {"arty_a7_35t": 50, "arty_a7_100t": 135, "ac701": 365}
"""Block RAMs of 36 Kbit of each board's part (Xilinx DS180)."""

SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
"""Bits and words of half a block RAM; a port as wide as the first can only read or write."""


FLIP_FLOPS = 128
"""For which Yosys rather takes half a block RAM (brams_xc4v.txt); measured, for three more."""


@dataclasses.dataclass(frozen=True)
class Store:
    """Memories of one kind: ``count`` of ``words`` words of ``bits`` bits, in half block RAMs."""

    count: int
    bits: int
    words: int
    halves: int


def halves(bits: int, words: int) -> int:
    """Return the least number of half block RAMs that hold a memory; 0 if flip-flops do."""
    least = min(-(-bits // width) * -(-words // depth) for width, depth in SHAPES)
    return 0 if bits * words <= FLIP_FLOPS * least + 3 else least


def stores(params: AcceleratorParams) -> dict[str, Store]:
    """Return an accelerator's memories, by what they hold."""
    tile = params.tile
    banks = len(params.buffers) * params.banks
    words = payloads(params)

    def store(count: int, bits: int, depth: int) -> Store:
        return Store(count, bits, depth, count * halves(bits, depth))

    # A bank is composed of blocks; the last one may be half a block RAM.
    lanes = -(-params.shift.bits // BLOCK_BITS)
    full, rest = divmod(params.bank_depth, BLOCK_WORDS)
    bank = lanes * (full * halves(BLOCK_BITS, BLOCK_WORDS) + halves(BLOCK_BITS, rest))
    found = {
        "maps": Store(banks, params.shift.bits, params.bank_depth, banks * bank),
        "pages": store(tile.crossbars * tile.adcs, tile.rows * tile.cell_bits, tile.lane_depth),
        "tables": store(1, tile.act_bits, tile.tables << tile.act_bits),
        "channels": store(1, words["channels"]["content"].width, params.slots),
        "pooled": store(params.banks, params.pooled_bits, params.bank_channels),
        "pool sums": store(1, params.pool_sum_bits, params.channels),
        "queue": store(1, tile.units * tile.sum_bits + params.skips, queue_depth(tile)),
        "logits": store(1, ACC_BITS, params.classes),
    }
    if tile.masks:
        found["masks by group"] = store(1, tile.rows * tile.crossbars, tile.masks)
        found["masks by row"] = store(tile.crossbars, tile.masks, tile.rows)
    if any(layer.second is not None for layer in params.layers):
        found["affines"] = store(1, words["affines"]["content"].width, params.slots)
    return found


def boards(params: AcceleratorParams) -> dict[str, dict[str, int | bool]]:
    """Return what each board has, what is needed of it, and whether it fits."""
    need = -(-sum(store.halves for store in stores(params).values()) // 2)
    return {
        board: {"block_rams": have, "needed": need, "fits": need <= have}
        for board, have in BOARDS.items()
    }

# SPDX-License-Identifier: Apache-2.0
"""Cycles of a tile that skips pages which no crossbar stores: a recurrence.

A skipped page takes a cycle, and its sums, all 0, wait in the queue as one word. How long the queue
holds what comes after them up depends on their order, so there is no closed form. With stored pages
alone it is that of `hw.timing.tile_cycles`. A leaf: the standard library only.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

__all__ = ["last_sum"]


def last_sum(
    visited: Sequence[bool],
    *,
    vectors: int,
    rows: int,
    lead: int,
    words: int,
    units: int,
    latency: int,
    depth: int,
) -> int:
    """Return the cycles from the first activation in until the last sum leaves the queue.

    Parameters
    ----------
    visited : sequence of bool
        Of each command of a vector, whether some crossbar stores its page.
    vectors, rows : int
        Vectors back to back, and rows that are loaded for each.
    lead : int
        Cycles of a page before its last plane.
    words, units : int
        Words that a page puts into the queue, one a cycle at best, and sums of a word, which leave
        one a cycle.
    latency : int
        From a sample to its word at the queue's end.
    depth : int
        Words that the queue holds; a place is taken with the sample, and free in the cycle after
        the word has left.
    """
    loaded = 0  # cycle in which the vector to come is there
    ended = 0  # first cycle after the vector before
    freed = 0  # first cycle in which a buffer is free to be loaded
    leaves = collections.deque([0] * depth, depth)  # first cycle after each word has left
    before: tuple[int, ...] = ()
    previous = 0
    for vector in range(vectors):
        loaded = max(loaded, freed) + rows
        freed = ended
        cycle = max(loaded, ended)
        for stored in visited:
            cycle += lead if stored else 0
            for _ in range(words if stored else 1):
                cycle = max(cycle, leaves[0])
                length = units if stored else units * words
                leaves.append(max(cycle + latency, leaves[-1]) + length)
                cycle += 1
        ended = cycle
        # As one vector went, so do all that are left.
        now = tuple(time - ended for time in (loaded, freed, *leaves))
        if now == before:
            period = ended - previous
            return leaves[-1] + (vectors - 1 - vector) * period
        before, previous = now, ended
    return leaves[-1]

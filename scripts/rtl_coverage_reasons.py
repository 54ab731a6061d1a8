# SPDX-License-Identifier: Apache-2.0
"""Why some of the RTL need not move, though it is not constant: by design.

A reason, and a pattern of the whole names that it explains: ``module: bit``, or ``module: line``.
"""

from __future__ import annotations

__all__ = ["FUSED", "IN_PLACE", "TILE_ALONE", "Reasons"]

Reasons = tuple[tuple[str, str], ...]

ACCELERATOR: Reasons = (
    ("selects among more buffers than the schedule uses there", r"buffers: 2'h\d:"),
    ("outputs never wait in an accelerator", r"tile\.requant: if \(moves\) begin"),
)

IN_PLACE: Reasons = (
    *ACCELERATOR,
    (
        "a word leaves the queue before one that has waited for its place arrives",
        r"tile\.queue: (w_rdy|inner_level\[3\])",
    ),
    (
        "ten bits rounded to three do not fall below the least of three",
        r"fetch: assign \\\$\d+ += \\\$\d+ +\? 12'hffc : .*",
    ),
    ("there is one bank", r"(accelerator|buffers): host_bank"),
    ("no layer has more than two column groups", r"sequencer: group\[[12]\]"),
    (
        "converters saturate: before its last plane a sum is at least 0, and below 2^19",
        r"tile\.shift_add: old_\d\[(19|20)\]",
    ),
    (
        "Z is odd in every layer: high from the first sample on",
        r"tile: flight_[123]\[9\]|tile\.shift_add: sample\[9\]",
    ),
    (
        "the one crossbar is always in use",
        r"tile(\.shift_add)?: assign \\\$\d+ += (\\sample\$3 \[8\]|commands__payload\[14\]) \? .*",
    ),
    (
        "maps are shifted in place, not as they are read",
        r"fetch(\.reader_[ab]_0)?: assign \\?(data|\$47 |\$94 |direction.*) = .* \? .*",
    ),
    (
        "SP adds no operand, with which a value could leave its range",
        r"writer: assign \\\$[67] += \\\$[45] +\? 11'h\w+ : .*",
    ),
)

FUSED: Reasons = (
    *ACCELERATOR,
    ("no layer has more than two column groups", r"sequencer: group\[[12]\]"),
    ("before its last plane a sum is at least 0", r"tile\.shift_add: old_\d\[20\]"),
    ("converters are wide enough for any sum", r"tile\.crossbar_[01]: assign .* \? 8'hf0 : .*"),
    ("a word of eight bits is within eight bits", r"fetch: assign .* \? 8'h(7f|80) : .*"),
    (
        "only channels of the first bank are shifted",
        r"fetch\.reader_a_1: (outside|assign \\?(data|\$47 |\$94 ) = .* \? .*)",
    ),
    (
        "maps are shifted as they are read: there is no pass",
        r"sequencer: (3'h[34]:|fsm_state\[2\]|shift_start|if \(shift_start\) begin)",
    ),
    (
        "the first crossbar is always in use",
        r"tile(\.shift_add)?: assign \\\$\d+ += (\\sample\$3 \[8\]|commands__payload\[14\]) \? .*",
    ),
    (
        "Z is odd in every layer: high from the first sample on",
        r"tile: flight_[123]\[10\]|tile\.shift_add: sample\[10\]",
    ),
    (
        "one word is written in a cycle: other entries of the table of counts",
        r"buffers: table_0\[\d+\]",
    ),
    ("there is no second affine", r"accelerator: affines__(payload\[\d+\]|valid)"),
)

TILE_ALONE: Reasons = (
    (
        "counters: no work is that long; those of the accelerators overflow",
        r"tile: (conversions\[1[3-5]\]|active_wordlines\[1[1-5]\]|sampled_pages\[(7|8|9|1\d)\])",
    ),
    ("above the digit of a table of counts that is looked up", r"crossbar_1: table_0\[38\]"),
)

# SPDX-License-Identifier: Apache-2.0
"""What a configuration states instead of leaving it to the model, and which keys move it then less.

A leaf: the standard library only.
"""

from __future__ import annotations

from collections.abc import Collection

from model.cost.config import Config

__all__ = ["SHIFT", "join", "unmoved"]

SHIFT = ("shift_clock_hz", "shift_energy_j", "shift_energy_divisor")
"""What a shift takes."""

_STATED = {
    "cell_energy_j": ("the energy of a read", ("ron_ohm", "roff_ohm", "read_v", "node_nm")),
    "adc_energy_j": ("the energy of a conversion", ("adc_levels", "array_rows", "node_nm")),
    "clock_hz": ("the clock", ("adc_levels", "array_rows", "columns_per_adc", "node_nm")),
}
"""What a key states, and the keys that would move it otherwise."""


def unmoved(config: Config, names: Collection[str]) -> list[str]:
    """Return what some keys do not move on such a chip, though they might be thought to.

    Parameters
    ----------
    config : Config
    names : collection of str
        Keys that a user varies.
    """
    found = []
    for stated, (what, moved) in _STATED.items():
        if getattr(config, stated) is not None and (idle := [key for key in moved if key in names]):
            found.append(f"{join(idle)} not move {what}: {stated} states it")
    if config.shift == "fused" and (idle := [key for key in SHIFT if key in names]):
        found.append(f"{join(idle)} not move any total: a fused shift takes nothing")
    if "pulse_s" in names:
        found.append("pulse_s does not move any figure: no term has it")
    return found


def join(names: list[str]) -> str:
    """Return keys as the subject of a sentence that goes on with ``not``."""
    *most, last = names
    return f"{', '.join(most)} and {last} do" if most else f"{last} does"

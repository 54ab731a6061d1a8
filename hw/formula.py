# SPDX-License-Identifier: Apache-2.0
"""Cycles as formulas that can be called and told: a formula's text is in the JSON beside Verilog.

A leaf: the standard library only.
"""

from __future__ import annotations

import dataclasses

__all__ = ["Formula", "Largest"]


@dataclasses.dataclass(frozen=True)
class Formula:
    """Cycles as a sum of terms, each a coefficient times a product of named counts.

    Parameters
    ----------
    terms : tuple of (int, tuple of str)
        ``(3, ("maps", "height", "width"))`` stands for 3·maps·height·width, ``(2, ())`` for 2.
    """

    terms: tuple[tuple[int, tuple[str, ...]], ...]

    def __str__(self) -> str:
        return " + ".join(
            "*".join([str(factor)] * (factor != 1 or not names) + list(names))
            for factor, names in self.terms
        )

    def __call__(self, **counts: int) -> int:
        """Cycles for the given counts."""
        total = 0
        for factor, names in self.terms:
            for name in names:
                factor *= counts[name]
            total += factor
        return total


@dataclasses.dataclass(frozen=True)
class Largest:
    """Cycles as the largest of several formulas.

    Parameters
    ----------
    of : tuple of Formula
    """

    of: tuple[Formula, ...]

    def __str__(self) -> str:
        return f"max({', '.join(map(str, self.of))})"

    def __call__(self, **counts: int) -> int:
        """Cycles for the given counts."""
        return max(formula(**counts) for formula in self.of)

# SPDX-License-Identifier: Apache-2.0
"""What other ways to compress a network add to its chip, and this project's do not.

Pruning by rows or columns of a crossbar needs tables that align its outputs; scales that are no
powers of two need floating-point multipliers. Masks that registers make, pages that are whole, and
shifts for scales need neither. Two of these figures together are a product: the source gives each
for itself.

Source: S. Huai et al., "Crossbar-Aligned & Integer-Only Neural Network Compression for Efficient
In-Memory Acceleration", motivation. A leaf.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from model.cost.simulate import ChipCost

__all__ = ["FLOAT_SCALES", "SPARSITY_TABLES", "Overhead", "avoided"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overhead:
    """What a scheme adds, as factors.

    Parameters
    ----------
    name : str
    storage, area, power : float
        1 where the source names none.
    """

    name: str
    storage: float = 1.0
    area: float = 1.0
    power: float = 1.0


SPARSITY_TABLES = Overhead(name="sparsity tables", storage=1.44, area=1.10)
FLOAT_SCALES = Overhead(name="floating-point scales", area=1.09, power=1.07)


def avoided(cost: ChipCost) -> list[tuple[str, float, float, float]]:
    """Return a network as it is, and with what it avoids: name, cells, m², J.

    Storage is the cells of the crossbars that are placed; power is energy, at the same latency.
    """
    cells = float(sum(layer.mapping.owned_cells for layer in cost.layers))
    both = (SPARSITY_TABLES, FLOAT_SCALES)
    cases: list[tuple[str, Sequence[Overhead]]] = [("as it is", ())]
    cases += [(f"with {each.name}", (each,)) for each in both] + [("with both", both)]
    return [
        (
            name,
            cells * math.prod(each.storage for each in parts),
            cost.area * math.prod(each.area for each in parts),
            cost.energy * math.prod(each.power for each in parts),
        )
        for name, parts in cases
    ]

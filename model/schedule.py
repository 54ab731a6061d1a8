# SPDX-License-Identifier: Apache-2.0
"""In which order a PSP or SP network's layers read and write their maps, for each block form.

Maps x and y hold the residual stream, z what the shift moves; SP writes z and z2 in turn, since a
layer must not write what it fetches. Export, tests and RTL take the order from here. A leaf.

=====================  ==========================  ===============================
form                   body.i.first                body.i.second
=====================  ==========================  ===============================
``skip_over_shift``    z ← BGP(x)                  y ← BGP(x + S z); x, y swap
``skip_before_shift``  y ← x + BGP(x)              x ← BGP(S y)
``residual``           y ← x + BGP(x)              x ← S y + BGP(S y)
``true_residual``      z ← BGP(x)                  x ← x + BGP(S z)
``sp``                 body.i.mix: y ← BGP(x + S z), z2 ← B′(y); x, y and z, z2 swap
=====================  ==========================  ===============================
"""

from __future__ import annotations

import dataclasses
import reprlib

from hw.params import ParameterError, check_integer
from model.intnet_maps import Operand

__all__ = ["FORMS", "IMAGE", "Step", "schedule"]

FORMS = ("skip_over_shift", "skip_before_shift", "residual", "true_residual", "sp")
IMAGE = "image"
MAX_DEPTH = 256


@dataclasses.dataclass(frozen=True)
class Step:
    """What one crossbar layer reads and writes: fields of `model.intnet.Crossbar` by name."""

    name: str
    operands: tuple[Operand, ...]
    out: str
    add: Operand | None = None
    second: str | None = None
    add_before_table: Operand | None = None


def schedule(form: str, depth: int) -> tuple[Step, ...]:
    """Return the steps of stem and body; the last one's ``out`` is what the head pools.

    Parameters
    ----------
    form : str
        One of `FORMS`.
    depth : int
        Blocks, 1…256.

    Raises
    ------
    ParameterError
        If the form is unknown or the depth out of range.
    """
    check_integer("depth", depth, 1, MAX_DEPTH)
    if form not in FORMS:
        raise ParameterError(f"form must be one of {', '.join(FORMS)}, not {reprlib.repr(form)}")
    x, y, z, z2 = "x", "y", "z", "z2"
    steps = [Step("stem", (Operand(IMAGE),), x, second=z if form == "sp" else None)]
    for block in range(depth):
        first, second = f"body.{block}.first", f"body.{block}.second"
        if form == "skip_over_shift":
            steps.append(Step(first, (Operand(x),), z))
            steps.append(Step(second, (Operand(x), Operand(z, True)), y))
            x, y = y, x
        elif form == "true_residual":
            steps.append(Step(first, (Operand(x),), z))
            steps.append(Step(second, (Operand(z, True),), x, add=Operand(x)))
        elif form == "sp":
            following = z2 if block < depth - 1 else None
            steps.append(
                Step(f"body.{block}.mix", (Operand(x), Operand(z, True)), y, second=following)
            )
            x, y, z, z2 = y, x, z2, z
        else:
            moved = Operand(y, True)
            steps.append(Step(first, (Operand(x),), y, add=Operand(x)))
            steps.append(Step(second, (moved,), x, add=moved if form == "residual" else None))
    return tuple(steps)

# SPDX-License-Identifier: Apache-2.0
"""The layers of an integer network, each with the rules that it can check by itself.

A network is a flat list of such layers over named feature maps (`model.intnet`). What a layer
computes is `model.golden`, in which order `model.executor`, how it lies in a file
``docs/intnet.md``. A leaf.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from model.intnet_maps import MAX_FEATURES, Operand
from model.intnet_rules import (
    INT32_MAX,
    IntNetError,
    about,
    check_array,
    check_entries,
    check_field,
    check_name,
)

__all__ = [
    "Affine",
    "Crossbar",
    "Layer",
    "MaxPool",
    "Periphery",
    "SecondWrite",
    "SumPool",
]

MIN_K, MAX_K = -7, 23
MAX_KERNEL = 64


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Affine:
    """Batch norm without a multiplier: round((sign·(v << exponent) + offset)·2^−fraction_bits).

    Parameters
    ----------
    sign : numpy.ndarray
        s, int8 [C], each −1, 0 or 1.
    exponent : numpy.ndarray
        e, uint8 [C], each 0…7.
    offset : numpy.ndarray
        T, int16 [C], in units of v.
    fraction_bits : int
        f, 0…15, one for all channels.
    """

    sign: npt.NDArray[np.int8]
    exponent: npt.NDArray[np.uint8]
    offset: npt.NDArray[np.int16]
    fraction_bits: int

    def check(self, channels: int) -> None:
        """Check the affine for a layer with that many outputs."""
        check_array("sign", self.sign, np.int8, (channels,))
        check_array("exponent", self.exponent, np.uint8, (channels,))
        check_array("offset", self.offset, np.int16, (channels,))
        check_entries("sign", self.sign, -1, 1)
        check_entries("exponent", self.exponent, 0, 7)
        check_field("fraction_bits", self.fraction_bits, 0, 15)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SecondWrite:
    """What an SP network keeps for its next block: the affine of the written map, in another."""

    out: str
    affine: Affine


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Periphery:
    """What the digital periphery makes of the accumulators.

    Parameters
    ----------
    k : numpy.ndarray
        Requantisation by 2^−k, int8 [1] for all outputs or [outputs]; each −7…23.
    table : numpy.ndarray
        The non-linearity, int8 [2^act_bits]; entry i belongs to the value i − 2^(act_bits−1).
    add_before_table : Operand, optional
        Added to the rounded accumulator, before the one saturation to act_bits (ResNet).
    affine : Affine, optional
        Batch norm after the table, saturated to stream_bits.
    add : Operand, optional
        Added at the write, and saturated to stream_bits again.
    second : SecondWrite, optional
    """

    k: npt.NDArray[np.int8]
    table: npt.NDArray[np.int8]
    add_before_table: Operand | None = None
    affine: Affine | None = None
    add: Operand | None = None
    second: SecondWrite | None = None

    def check(self, outputs: int, act_bits: int) -> None:
        """Check the periphery of a layer of that many outputs and bits."""
        check_array("k", self.k, np.int8, (1,), (outputs,))
        check_entries("k", self.k, MIN_K, MAX_K)
        check_array("table", self.table, np.int8, (1 << act_bits,))
        check_entries("table", self.table, -(1 << (act_bits - 1)), (1 << (act_bits - 1)) - 1)
        if self.affine is not None:
            with about("affine"):
                self.affine.check(outputs)
        if self.second is not None:
            check_name("second.out", self.second.out)
            with about("second.affine"):
                self.second.affine.check(outputs)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Crossbar:
    """A layer whose weights lie in crossbars: a convolution, pointwise or not, or a linear layer.

    Parameters
    ----------
    name : str
        Path of the layer in its network; differs from all others.
    operands : tuple of Operand
        One map to fetch, or two to add.
    out : str
        The map that is written.
    kernel, stride, padding : int
        Side of the square kernel and step, 1…64; zeros on each border, fewer than the kernel.
    act_bits, weight_bits : int
        Width of what is fetched and of the table, 2…8; width of a stored weight, 1…8.
    zero_point : int
        Z, 0…2^weight_bits − 1; the weight is weights − Z.
    weights : numpy.ndarray
        U, uint8 [rows, outputs], rows ordered (ky, kx, channel).
    bias : numpy.ndarray
        int32 [outputs], in units of the accumulator.
    periphery : Periphery, optional
        None for the last layer, whose accumulators are the logits.
    """

    kind: ClassVar[str] = "crossbar"

    name: str
    operands: tuple[Operand, ...]
    out: str
    kernel: int
    stride: int
    padding: int
    act_bits: int
    weight_bits: int
    zero_point: int
    weights: npt.NDArray[np.uint8]
    bias: npt.NDArray[np.int32]
    periphery: Periphery | None = None

    def __post_init__(self) -> None:
        check_name("name", self.name)
        with about(self.name):
            check_name("out", self.out)
            check_field("kernel", self.kernel, 1, MAX_KERNEL)
            check_field("stride", self.stride, 1, MAX_KERNEL)
            check_field("padding", self.padding, 0, self.kernel - 1)
            check_field("number of operands", len(self.operands), 1, 2)
            check_field("act_bits", self.act_bits, 2, 8)
            check_field("weight_bits", self.weight_bits, 1, 8)
            check_field("zero_point", self.zero_point, 0, self.max_weight)
            self._check_tensors()
            if self.periphery is not None:
                self.periphery.check(self.outputs, self.act_bits)
            if self.accumulator_bound > INT32_MAX:
                raise IntNetError(
                    f"the accumulator must stay within {INT32_MAX}, "
                    f"not reach {self.accumulator_bound}"
                )

    def _check_tensors(self) -> None:
        if not isinstance(self.weights, np.ndarray) or self.weights.ndim != 2:
            raise IntNetError("weights must be uint8 [rows, outputs]")
        for name, count in zip(("rows", "outputs"), self.weights.shape, strict=True):
            check_field(name, count, 1, MAX_FEATURES)
        check_array("weights", self.weights, np.uint8, self.weights.shape)
        check_entries("weights", self.weights, 0, self.max_weight)
        check_array("bias", self.bias, np.int32, (self.outputs,))

    @property
    def rows(self) -> int:
        """Inputs of one output: kernel²·channels."""
        return int(self.weights.shape[0])

    @property
    def outputs(self) -> int:
        """Output channels."""
        return int(self.weights.shape[1])

    @property
    def max_weight(self) -> int:
        """Largest U that the cells hold."""
        return (1 << self.weight_bits) - 1

    @property
    def accumulator_bound(self) -> int:
        """No accumulator, partial sum or rounding of this layer leaves ±bound, saturating or not.

        rows·2^(act_bits−1)·(2^weight_bits − 1 + Z) + max|bias| + 2^(k−1).
        """
        sums = (self.rows << (self.act_bits - 1)) * (self.max_weight + self.zero_point)
        k = 0 if self.periphery is None else max(0, int(self.periphery.k.max()))
        return sums + int(np.abs(self.bias.astype(np.int64)).max()) + ((1 << k) >> 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pool:
    name: str
    source: str
    out: str

    def __post_init__(self) -> None:
        check_name("name", self.name)
        with about(self.name):
            check_name("source", self.source)
            check_name("out", self.out)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SumPool(_Pool):
    """Average pooling: sat(round(sum·2^−p)), p −7…23, with the bits of the map it writes."""

    kind: ClassVar[str] = "sum_pool"

    p: int

    def __post_init__(self) -> None:
        super().__post_init__()
        with about(self.name):
            check_field("p", self.p, MIN_K, MAX_K)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaxPool(_Pool):
    """Max pooling in squares that do not overlap, 2…64 wide; an odd rest is dropped."""

    kind: ClassVar[str] = "max_pool"

    window: int

    def __post_init__(self) -> None:
        super().__post_init__()
        with about(self.name):
            check_field("window", self.window, 2, MAX_KERNEL)


Layer = Crossbar | SumPool | MaxPool

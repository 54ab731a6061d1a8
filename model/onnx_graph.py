# SPDX-License-Identifier: Apache-2.0
"""An ONNX graph in the making, and the steps on integers in floats that its layers share.

A leaf: NumPy and onnx. `model.onnx_layers` puts networks together of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

__all__ = ["Float", "Graph", "Value", "exact_float"]

OPSET, IR_VERSION = 17, 8
FLOAT32_EXACT = 1 << 24

Float = type[np.float32] | type[np.float64]
Value = str | npt.NDArray[Any] | np.generic
"""What a node takes: the name of a tensor, or a constant."""


def exact_float(bound: int) -> Float:
    """Return the float in which all integers within ±bound, at most 2^53, are exact."""
    return np.float32 if bound <= FLOAT32_EXACT else np.float64


class Graph:
    """Nodes and constants, in the order in which layers add them.

    The tensors of a layer are named by the layer, a dot, and what they are, or a number that no
    other tensor has. What belongs to no layer has a name without a dot.

    Attributes
    ----------
    layer : str
        The layer that is being added.
    """

    def __init__(self) -> None:
        self.layer = ""
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._traced: list[onnx.ValueInfoProto] = []

    def own(self, key: str) -> str:
        """Return the name of a tensor of this layer."""
        return f"{self.layer}.{key}"

    def constant(self, value: npt.NDArray[Any] | np.generic, name: str = "") -> str:
        """Add a constant, unless one of that name is there, and return its name."""
        name = name or self._numbered()
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def node(self, op: str, *inputs: Value, name: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        name = name or self._numbered()
        self._nodes.append(helper.make_node(op, names, [name], **attributes))
        return name

    def cast(self, v: str, dtype: Float) -> str:
        """Return a float32 tensor as ``dtype``."""
        return v if dtype is np.float32 else self.node("Cast", v, to=onnx.TensorProto.DOUBLE)

    def floor(
        self, v: str, factor: npt.NDArray[Any], offset: npt.NDArray[Any], dtype: Float = np.float32
    ) -> str:
        """Return ⌊v·factor + offset⌋."""
        scaled = self.node("Mul", v, factor.astype(dtype))
        return self.node("Floor", self.node("Add", scaled, offset.astype(dtype)))

    def round_shift(self, v: str, k: npt.NDArray[np.int64] | int, dtype: Float = np.float32) -> str:
        """Return round(v·2^−k), halves up."""
        k = np.asarray(k, np.int64)
        return self.floor(v, np.ldexp(1.0, -k), np.where(k > 0, 0.5, 0.0), dtype)

    def saturate(self, v: str, bits: int, dtype: Float = np.float32, *, name: str = "") -> str:
        """Clip to the two's complement range of ``bits``."""
        half = 1 << (bits - 1)
        return self.node("Clip", v, dtype(-half), dtype(half - 1), name=name)

    def trace(self, name: str, shape: Sequence[int], dtype: Float = np.float32) -> None:
        """Take note of a tensor [N, *shape] that a trace shows."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._traced.append(helper.make_tensor_value_info(name, kind, ["N", *map(int, shape)]))

    def model(
        self, name: str, source: onnx.ValueInfoProto, result: onnx.ValueInfoProto, *, trace: bool,
        metadata: Mapping[str, str],
    ) -> onnx.ModelProto:  # fmt: skip
        """Return the whole; if ``trace``, with all that was taken note of as outputs."""
        outputs = [result, *self._traced] if trace else [result]
        constants = list(self._constants.values())
        graph = helper.make_graph(self._nodes, name, [source], outputs, constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, producer_name="shiftbar", ir_version=IR_VERSION, opset_imports=[opset]
        )
        helper.set_model_props(model, dict(metadata))
        return model

    def _numbered(self) -> str:
        return self.own(str(len(self._nodes) + len(self._constants)))

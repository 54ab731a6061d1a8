# SPDX-License-Identifier: Apache-2.0
"""The integer network in QONNX, the dialect of ONNX that FINN, hls4ml and Brevitas speak.

The graph of `model.onnx_layers`, whose roundings and saturations become ``Quant`` nodes of the
domain ``qonnx.custom_op.general``, which say how wide each number is:

    Floor, Clip     Quant, signed: rounds down, after the half that has been added; half-to-even
                    is QONNX's default and would be wrong
    Clip            the same: integers stay what they are
    Min             Quant, unsigned: the ADC
    weights, cells  behind a Quant of their width; a zero point other than 2^(weight_bits − 1) is
                    that of the Quant

Scales are 1, so that tensors hold the integers of ``docs/intnet.md``; what they stand for is said
by the exponents of the network's maps. Shapes are fixed, for one image: the package `qonnx` wants
them so. A leaf: NumPy, onnx and the integer network.

Source: Pappalardo, Umuroglu et al., "QONNX: Representing Arbitrary-Precision Quantized Neural
Networks", 2022.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.intnet import Crossbar, IntNet
from model.onnx_layers import to_onnx

__all__ = ["DOMAIN", "to_qonnx"]

DOMAIN, DOMAIN_VERSION = "qonnx.custom_op.general", 1
SUFFIX = ".quantised"


def to_qonnx(net: IntNet) -> onnx.ModelProto:
    """Return a network as a QONNX graph.

    Parameters
    ----------
    net : IntNet

    Returns
    -------
    onnx.ModelProto
        From ``images``, uint8 [1, C, H, W], to ``logits``, int32 [1, classes]. Tensors have the
        names that `model.onnx_layers.to_onnx` gives them: ``<layer>.acc``, ``.pre``, ``.out`` and
        ``.second``.

    Raises
    ------
    ParameterError
        As `model.onnx_layers.to_onnx`.
    """
    plain = to_onnx(net)
    for value in (*plain.graph.input, *plain.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    plain = onnx.shape_inference.infer_shapes(plain, strict_mode=True, data_prop=True)
    return _Rewriter(net, plain).model()


class _Rewriter:
    """Goes through the nodes of a graph and writes their counterparts."""

    def __init__(self, net: IntNet, plain: onnx.ModelProto) -> None:
        self.net, self.plain = net, plain
        self.constants = {each.name: each for each in plain.graph.initializer}
        self.values = {each.name: each for each in plain.graph.value_info}
        self.nodes: list[onnx.NodeProto] = []

    def model(self) -> onnx.ModelProto:
        graph = self.plain.graph
        renamed = self._weights()
        readers = Counter(name for node in graph.node for name in node.input)
        floors = {node.output[0]: node for node in graph.node if node.op_type == "Floor"}
        clipped = {node.input[0] for node in graph.node if node.op_type == "Clip"}
        fused = {name for name in floors if name in clipped and readers[name] == 1}
        for node in graph.node:
            source, *others = (renamed.get(name, name) for name in node.input)
            (out,) = node.output
            if out in fused:
                del self.values[out]
            elif node.op_type == "Clip":
                rounded = floors[source].input[0] if source in fused else source
                self._quant(rounded, out, bits=self._constant(others[1]).bit_length() + 1)
            elif node.op_type == "Min":
                self._quant(source, out, bits=self._constant(others[0]).bit_length(), signed=False)
            else:
                node.input[:] = [source, *others]
                self.nodes.append(node)
        used = {name for node in self.nodes for name in node.input}
        new = helper.make_graph(
            self.nodes, graph.name, graph.input, graph.output,
            [each for name, each in self.constants.items() if name in used],
            value_info=list(self.values.values()),
        )  # fmt: skip
        domains = [*self.plain.opset_import, helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
        model = helper.make_model(
            new, producer_name="shiftbar", ir_version=self.plain.ir_version, opset_imports=domains
        )
        model.metadata_props.extend(self.plain.metadata_props)
        return model

    def _weights(self) -> dict[str, str]:
        """Put weights and cells behind quantisers; return their new names by the old ones."""
        renamed = {}
        for layer in self.net.layers:
            if not isinstance(layer, Crossbar):
                continue
            bits, centre = layer.weight_bits, 1 << (layer.weight_bits - 1)
            # One signed bit means −1 and 1 in QONNX.
            signed = layer.zero_point == centre and bits > 1
            for key, width in (("weights", bits), ("cells", self.net.cell_bits)):
                name = f"{layer.name}.{key}"
                if name not in self.constants:
                    continue
                renamed[name] = name + SUFFIX
                constant = self.constants[name]
                self.values[renamed[name]] = helper.make_tensor_value_info(
                    renamed[name], constant.data_type, constant.dims
                )
                zero_point = 0 if signed or key == "cells" else layer.zero_point
                self._quant(
                    name, renamed[name], bits=width, signed=signed and key == "weights",
                    zero_point=zero_point,
                )  # fmt: skip
        return renamed

    def _quant(
        self, source: str, out: str, *, bits: int, signed: bool = True, zero_point: int = 0
    ) -> None:
        """Add a quantiser. It gives float32; what was a double is made one again."""
        kind, name = self.values[out].type.tensor_type.elem_type, out
        if kind == TensorProto.DOUBLE:
            name = f"{out}.single"
            self.values[name] = onnx.ValueInfoProto()
            self.values[name].CopyFrom(self.values[out])
            self.values[name].name = name
            self.values[name].type.tensor_type.elem_type = TensorProto.FLOAT
        scale, offset, width = (self._scalar(value) for value in (1, zero_point, bits))
        self.nodes.append(
            helper.make_node(
                "Quant",
                [source, scale, offset, width],
                [name],
                domain=DOMAIN,
                signed=int(signed),
                narrow=0,
                rounding_mode="FLOOR",
            )
        )
        if name != out:
            self.nodes.append(helper.make_node("Cast", [name], [out], to=TensorProto.DOUBLE))

    def _scalar(self, value: int) -> str:
        """Return the name of a constant that quantisers share; it belongs to no layer."""
        name = f"quant_{value}"
        self.constants[name] = numpy_helper.from_array(np.array(value, np.float32), name)
        return name

    def _constant(self, name: str) -> int:
        return int(numpy_helper.to_array(self.constants[name]))

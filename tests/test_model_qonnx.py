# SPDX-License-Identifier: Apache-2.0
"""QONNX in onnx's own evaluator with a Quant of our own, and in the package `qonnx` if it is there.

`qonnx` does not run beside the onnx of the development environment. In one of its own,

    python -m venv build/qonnx
    build/qonnx/bin/pip install -e '.[qonnx]' pytest hypothesis
    build/qonnx/bin/python -m pytest tests/test_model_qonnx.py

runs what is skipped elsewhere.
"""

from __future__ import annotations

import importlib.util
import re
import types

import intnets
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from intnets import small
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from hw.params import ParameterError
from model import agreement, qonnx_runtime
from model.agreement import Executor, MismatchError, agree
from model.images import zoo_images
from model.intnet import digest
from model.onnx_runtime import as_trace
from model.qonnx_graph import DOMAIN, to_qonnx

OPTIONS = {
    "int8": {},
    "int4": {"act_bits": 4, "weight_bits": 4, "stream_bits": 4},
    "wide stream": {"stream_bits": 16},
    "one bit": {"weight_bits": 1},
    "saturating": {"adc_bits": 5, "array_rows": 10, "cell_bits": 3},
    "extreme, saturating": {"act_bits": 7, "adc_bits": 4, "array_rows": 7, "extreme": True},
}
HAS_QONNX = (
    importlib.util.find_spec("qonnx") is not None
    and onnx.IR_VERSION <= qonnx_runtime.MAX_IR_VERSION
)
needs_qonnx = pytest.mark.skipif(
    not HAS_QONNX, reason="needs `qonnx` and onnx below 1.23: an environment of [qonnx] of its own"
)


class Quant(OpRun):
    """Written from QONNX's description of it."""

    op_domain = DOMAIN

    def _run(self, x, scale, zeropt, bitwidth, narrow=1, rounding_mode="ROUND", signed=1):
        bits = int(bitwidth)
        assert (narrow, bits > 1 or not signed) == (0, True)  # 1 signed bit is bipolar
        low, high = (-(1 << bits >> 1), (1 << bits >> 1) - 1) if signed else (0, (1 << bits) - 1)
        rounded = {"FLOOR": np.floor, "ROUND": np.rint}[rounding_mode](
            np.clip(x / scale + zeropt, low, high)
        )
        return (((rounded - zeropt) * scale).astype(np.float32),)


def evaluate(model, images):
    """Return the values of all tensors, one image after the other."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(model.graph.value_info)
    names = [each.name for each in shown.graph.output]
    runtime = ReferenceEvaluator(shown, new_ops=[Quant])
    found = [runtime.run(names, {"images": image[None]}) for image in images]
    return dict(zip(names, map(np.concatenate, zip(*found, strict=True)), strict=True))


def reference(net, model=None):
    """Return onnx's evaluator as an executor."""

    def trace(images):
        values = evaluate(model or to_qonnx(net), images)
        return as_trace(
            net, {name: values[name] for name in [*qonnx_runtime.traced(net), "logits"]}
        )

    return Executor("evaluator", trace)


@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_equals_the_executor(kind, options):
    net = small(kind, **options)
    assert agree(net, intnets.images(net, 2), [reference(net)])["evaluator"] > 500


@settings(max_examples=15)
@given(intnets.nets())
def test_equals_the_executor_for_any_network(net):
    agree(net, intnets.images(net, 2), [reference(net)])


@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_rounding_and_saturation_is_a_quant(kind, options):
    net = small(kind, **options)
    model = to_qonnx(net)
    onnx.checker.check_model(model)
    kinds = {node.op_type for node in model.graph.node}
    assert kinds.isdisjoint({"Clip", "Min", "Round"})
    # What remains of Floor makes bit planes, or comes before what is added before the table.
    assert ("Floor" in kinds) == ("adc_bits" in options or kind == "resnet")
    quants = [node for node in model.graph.node if node.op_type == "Quant"]
    attributes = {each.name: each for node in quants for each in node.attribute}
    assert attributes.keys() == {"signed", "narrow", "rounding_mode"}
    assert {(node.domain, len(node.input)) for node in quants} == {(DOMAIN, 4)}
    domains = {entry.domain: entry.version for entry in model.opset_import}
    assert domains == {"": 17, DOMAIN: 1}
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "intnet_sha256": digest(net)
    }


def test_widths_are_those_of_the_network():
    net = small("residual", weight_bits=4, stream_bits=12)
    constants = {each.name: numpy_helper.to_array(each) for each in to_qonnx(net).graph.initializer}
    widths = {
        node.output[0]: int(constants[node.input[3]])
        for node in to_qonnx(net).graph.node
        if node.op_type == "Quant"
    }
    assert widths["body.0.first.weights.quantised"] == 4
    assert widths["head.weights.quantised"] == 8
    assert widths["body.0.first.pre"] == 8
    assert widths["body.0.first.out"] == 12


def test_every_tensor_has_its_shape():
    model = to_qonnx(small("vgg", adc_bits=5, array_rows=10))
    graph = model.graph
    known = {*(each.name for each in graph.value_info), *(each.name for each in graph.initializer)}
    known |= {"images", "logits"}
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    assert used == known
    for each in graph.value_info:
        assert all(dimension.dim_value > 0 for dimension in each.type.tensor_type.shape.dim)
    doubles = [each for each in graph.value_info if each.type.tensor_type.elem_type
               == TensorProto.DOUBLE]  # fmt: skip
    for quant in (node for node in graph.node if node.op_type == "Quant"):
        assert quant.output[0] not in {each.name for each in doubles}  # QONNX gives float32


@pytest.mark.parametrize("fault", ["ROUND", "narrow"])
def test_a_wrong_quantiser_is_noticed(fault):
    net = small("residual", side=16)
    model = to_qonnx(net)
    for node in model.graph.node:
        if fault == "ROUND" and node.output[0] == "stem.pre":
            next(each for each in node.attribute if each.name == "rounding_mode").s = b"ROUND"
        if fault == "narrow" and node.output[0] == "stem.pre":
            node.input[3] = "quant_7"
            scalar = numpy_helper.from_array(np.array(7, np.float32), "quant_7")
            model.graph.initializer.append(scalar)
    with pytest.raises(MismatchError, match=r"^stem: pre of image \d, .* as in evaluator$"):
        agree(net, intnets.images(net, 4), [reference(net, model)])


def test_a_later_onnx_is_told(monkeypatch):
    monkeypatch.setattr(onnx, "IR_VERSION", qonnx_runtime.MAX_IR_VERSION + 1)
    message = (
        f"onnx must be older than 1.23 for qonnx, not {onnx.__version__}: "
        "pip install 'shiftbar[qonnx]'"
    )
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        qonnx_runtime.tracer(small("residual"))


def test_a_missing_qonnx_is_told(monkeypatch):
    monkeypatch.setattr(
        agreement, "importlib", types.SimpleNamespace(util=types.SimpleNamespace(
            find_spec=lambda name: None if name == "qonnx" else name)))  # fmt: skip
    message = "qonnx must be installed: pip install 'shiftbar[qonnx]'"
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        agreement.qonnx(small("residual"))


@needs_qonnx
@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_package_computes_the_same(kind, options):
    net = small(kind, **options)
    assert agree(net, intnets.images(net, 2), [agreement.qonnx(net)])["qonnx"] > 500


@needs_qonnx
def test_the_package_computes_the_same_on_real_images():
    net = intnets.random_net("residual", 3, width=24, side=32)
    agree(net, zoo_images()[0][:3], [agreement.qonnx(net)])

# SPDX-License-Identifier: Apache-2.0
"""The ONNX graph in ONNX Runtime and in onnx's own evaluator against the golden executor."""

from __future__ import annotations

import re

import intnets
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from intnets import change, differing, golden_trace, just_below_a_half, small
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from hw.params import ParameterError
from model import executor, onnx_graph, onnx_layers
from model.images import zoo_images
from model.intnet import Crossbar, IntNet, Map, Operand, digest
from model.onnx_layers import to_onnx

LEVELS = onnxruntime.GraphOptimizationLevel
OPTIONS = {
    "int8": {},
    "int4": {"act_bits": 4, "weight_bits": 4, "stream_bits": 4},
    "wide stream": {"stream_bits": 16},
    "saturating": {"adc_bits": 5, "array_rows": 10, "cell_bits": 3},
    "extreme": {"stream_bits": 13, "extreme": True},
    "extreme, saturating": {"act_bits": 7, "adc_bits": 4, "array_rows": 7, "extreme": True},
}


def run(model, images, *, optimized=True):
    """Return the outputs of ONNX Runtime by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = (
        LEVELS.ORT_ENABLE_ALL if optimized else LEVELS.ORT_DISABLE_ALL
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {onnx_layers.IMAGES: images}), strict=True))


def as_trace(net, outputs):
    """Return outputs as the executor's trace has them."""
    trace = {}
    for name, value in outputs.items():
        layer, _, key = name.rpartition(".")
        if layer:
            trace.setdefault(layer, {})[key] = value
    trace[net.layers[-1].name]["out"] = outputs[onnx_layers.LOGITS][:, :, None, None]
    return trace


def differences(net, images, model=None):
    """Return what differs from the executor, of all that it traces."""
    wanted = golden_trace(net, images)
    found = as_trace(net, run(model or to_onnx(net, trace=True), images))
    assert {name: seen.keys() for name, seen in found.items()} == {
        name: seen.keys() for name, seen in wanted.items()
    }
    return differing(wanted, found)


@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_equals_the_executor(kind, options):
    net = small(kind, **options)
    images = intnets.images(net, 5)
    assert differences(net, images) == []
    outputs = run(to_onnx(net), images, optimized=False)
    assert list(outputs) == ["logits"]
    assert outputs["logits"].dtype == np.int32
    assert np.array_equal(outputs["logits"], executor.run(net, images))


@settings(max_examples=40)
@given(intnets.nets())
def test_equals_the_executor_for_any_network(net):
    assert differences(net, intnets.images(net, 3)) == []


@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize("adc_bits", [8, 5])
def test_equals_the_executor_on_real_images(kind, adc_bits):
    width = 24 if kind in intnets.FORMS else 8
    net = intnets.random_net(kind, 3, width=width, side=32, array_rows=64, adc_bits=adc_bits)
    assert differences(net, zoo_images()[0][:5]) == []


@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize("options", [{}, OPTIONS["extreme, saturating"]])
def test_another_runtime_computes_the_same(kind, options):
    net = small(kind, **options)
    images = intnets.images(net, 2)
    model = to_onnx(net, trace=True)
    names = [output.name for output in model.graph.output]
    values = ReferenceEvaluator(model).run(None, {"images": images})
    found = as_trace(net, dict(zip(names, values, strict=True)))
    assert differing(golden_trace(net, images), found) == []


@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_graph_is_valid_and_of_stock_operators(kind, options):
    net = small(kind, **options)
    for trace in (False, True):
        model = to_onnx(net, trace=trace)
        onnx.checker.check_model(model, full_check=True)
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert {node.op_type for node in model.graph.node} <= {
        "Add", "Cast", "Clip", "Conv", "Flatten", "Floor", "Gather", "MatMul", "MaxPool", "Min",
        "Mul", "Pad", "ReduceSum", "Reshape", "Sub", "Transpose", "Unsqueeze",
    }  # fmt: skip
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "intnet_sha256": digest(net)
    }


def test_psp_networks_are_float32_throughout():
    model = to_onnx(intnets.random_net("sp", width=256, side=32), trace=True)
    kinds = {output.type.tensor_type.elem_type for output in model.graph.output[1:]}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert not any(
        attribute.i == onnx.TensorProto.DOUBLE
        for node in model.graph.node
        if node.op_type == "Cast"
        for attribute in node.attribute
    )


@pytest.mark.parametrize("field", ["add", "add_before_table"])
@pytest.mark.parametrize("options", [{}, {"array_rows": 7, "adc_bits": 3}])
def test_what_is_added_may_be_shifted(field, options):
    net = small("residual", **options)
    images = intnets.images(net, 4)
    shifted, plain = (
        change(net, "body.0.first", **{field: Operand("x", shifted=moves)})
        for moves in (True, False)
    )
    assert differences(shifted, images) == []
    first = "body.0.first.out" if field == "add" else "body.0.first.pre"
    assert differences(shifted, images, to_onnx(plain, trace=True))[0] == first


# Integers that float32 does not hold.


def wide(net):
    return change(net, "head", bias=np.array([0, 1 << 29, -(1 << 29)], np.int32))


@pytest.mark.parametrize("adc_bits", [8, 5])
def test_float32_beyond_its_exact_integers_is_noticed(adc_bits, monkeypatch):
    net = wide(small("vgg", adc_bits=adc_bits, array_rows=20))
    images = intnets.images(net, 4)
    assert differences(net, images) == []
    monkeypatch.setattr(onnx_graph, "FLOAT32_EXACT", 1 << 60)
    assert differences(net, images) == ["head.acc", "head.out"]


def test_pooled_sums_that_float32_does_not_hold():
    make = intnets.Builder(1, side=256, stream_bits=12)
    make.crossbar("stem", (Operand("image"),), "x", 1, act_bits=8)
    make.sum_pool("x", "pooled")
    make.head("pooled", 2)
    net = make.build("large")
    assert differences(net, intnets.images(net, 3)) == []
    casts = [node for node in to_onnx(net).graph.node if node.op_type == "Cast"]
    to = {node.output[0].split(".")[0]: node.attribute[0].i for node in casts[:-2]}
    assert to == {"images": 1, "stem": 6, "pool": 11}  # float32, int32, float64


def test_just_below_a_half():
    net = just_below_a_half()
    images = intnets.images(net, 2)
    assert not golden_trace(net, images)["stem"]["pre"].any()
    assert differences(net, images) == []


# Seeded faults: in the graph.


def alter(model, name, fault):
    """Return a graph in which ``fault`` has changed a constant."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    (constant,) = (entry for entry in changed.graph.initializer if entry.name == name)
    value = numpy_helper.to_array(constant).copy()
    constant.CopyFrom(numpy_helper.from_array(fault(value), name))
    return changed


def one_more(value):
    value.flat[value.size // 2] += 1
    return value


def swap_directions(kernel):
    kernel[[5, 6]] = kernel[[6, 5]]
    return kernel


@pytest.mark.parametrize(
    ("options", "constant", "fault", "first"),
    [
        ({}, "stem.weights", one_more, "stem.acc"),
        ({}, "body.0.first.bias", one_more, "body.0.first.acc"),
        ({}, "head.weights", one_more, "head.acc"),
        ({"adc_bits": 5}, "body.1.second.cells", one_more, "body.1.second.acc"),
        ({}, "body.0.first.table", lambda table: np.roll(table, 1), "body.0.first.out"),
        ({}, "body.0.first.table", one_more, "body.0.first.out"),
        ({}, "shift_12", swap_directions, "body.0.second.acc"),
        ({}, "shift_12", lambda kernel: kernel[:, :, ::-1], "body.0.second.acc"),
    ],
)
@pytest.mark.parametrize("kind", ["residual", "skip_over_shift"])
def test_a_wrong_constant_is_noticed(kind, options, constant, fault, first):
    net = small(kind, seed=2, side=16, **options)
    model = alter(to_onnx(net, trace=True), constant, fault)
    assert differences(net, intnets.images(net, 8), model)[0] == first


# Seeded faults: in the steps.


def half_even(graph, v, k, dtype=np.float32):
    return graph.node("Round", graph.node("Mul", v, np.ldexp(1.0, -np.asarray(k)).astype(dtype)))


def wrap(graph, v, bits, dtype=np.float32, *, name=""):
    half, size = dtype(1 << (bits - 1)), dtype(1 << bits)
    turns = graph.node("Floor", graph.node("Div", graph.node("Add", v, half), size))
    return graph.node("Sub", v, graph.node("Mul", turns, size), name=name)


@pytest.mark.parametrize(
    ("step", "fault"),
    [("round_shift", half_even), ("saturate", wrap)],
    ids=["halves to even", "a lost saturation"],
)
@pytest.mark.parametrize("kind", intnets.KINDS)
def test_a_wrong_step_is_noticed(kind, step, fault, monkeypatch):
    net = small(kind)
    monkeypatch.setattr(onnx_graph.Graph, step, fault)
    assert differences(net, intnets.images(net, 40))[0].endswith(".pre")  # ties are rare


@pytest.mark.parametrize("field", ["adc_bits", "array_rows", "cell_bits"])
def test_another_converter_is_noticed(field):
    fields = {"adc_bits": 3, "array_rows": 10, "cell_bits": 2}
    other = small("resnet", **(fields | {field: fields[field] + 1}))
    model = to_onnx(other, trace=True)
    net = small("resnet", **fields)
    assert differences(net, intnets.images(net, 3), model)[0] == "stem.acc"


# Sizes.


def test_networks_beyond_any_file_are_refused():
    rows, outputs = 1 << 14, 1 << 12
    layer = Crossbar(
        name="head", operands=(Operand("image"),), out="logits", kernel=1, stride=1, padding=0,
        act_bits=8, weight_bits=8, zero_point=128, bias=np.zeros(outputs, np.int32),
        weights=np.zeros((rows, outputs), np.uint8),
    )  # fmt: skip
    maps = {
        "image": Map(channels=rows, height=1, width=1, bits=8, exponent=0),
        "logits": Map(channels=outputs, height=1, width=1, bits=32, exponent=0),
    }
    net = IntNet(
        name="huge", array_rows=64, cell_bits=1, adc_bits=5, stream_bits=8, fetch_shift=0,
        input="image", maps=maps, layers=(layer,),
    )  # fmt: skip
    message = (
        "an ONNX graph must have at most 134217728 constants "
        f"(weights, or their cells where ADCs saturate), not {8 * rows * outputs + 8 * outputs + 2}"
    )
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        to_onnx(net)


@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_constants_are_counted(kind, options, monkeypatch):
    net = small(kind, **options)
    constants = [numpy_helper.to_array(entry) for entry in to_onnx(net).graph.initializer]
    large = sum(value.size for value in constants if value.size > 256)
    monkeypatch.setattr(onnx_layers, "MAX_CONSTANTS", 0)
    with pytest.raises(ParameterError, match=r"must have at most 0 constants") as caught:
        to_onnx(net)
    assert int(str(caught.value).rpartition(" ")[2]) * 2 >= large  # tiles are filled up

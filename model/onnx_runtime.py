# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime as an executor of integer networks: an implementation that others wrote.

A leaf: NumPy, onnx, onnxruntime and the integer network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from model.executor import Trace
from model.intnet import IntNet
from model.onnx_layers import IMAGES, LOGITS, to_onnx

__all__ = ["as_trace", "session", "tracer"]


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Return a session on one thread of the CPU, with the optimisations that users get."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def tracer(net: IntNet) -> Callable[[npt.NDArray[np.uint8]], Trace]:
    """Return what traces a network in ONNX Runtime, as `model.executor.run` does.

    Two graphs run: one shows all layers, and the logits come from the other, as it is written to
    a file. A runtime that may not keep what lies between fuses nodes, and could differ there.

    Raises
    ------
    ParameterError
        If the network is too large for an ONNX graph.
    """
    traced, plain = session(to_onnx(net, trace=True)), session(to_onnx(net))
    names = [output.name for output in traced.get_outputs() if output.name != LOGITS]

    def trace(images: npt.NDArray[np.uint8]) -> Trace:
        found = dict(zip(names, traced.run(names, {IMAGES: images}), strict=True))
        (found[LOGITS],) = plain.run([LOGITS], {IMAGES: images})
        return as_trace(net, found)

    return trace


def as_trace(net: IntNet, outputs: Mapping[str, npt.NDArray[Any]]) -> Trace:
    """Return the outputs of a graph as the golden executor's trace has them.

    Parameters
    ----------
    net : IntNet
    outputs : mapping
        ``<layer>.<key>`` [N, C, H, W], in the order of the layers, and ``logits`` [N, classes].
    """
    trace: Trace = {}
    for name, value in outputs.items():
        layer, dot, key = name.rpartition(".")
        if dot:
            trace.setdefault(layer, {})[key] = value
    trace[net.layers[-1].name]["out"] = outputs[LOGITS][:, :, None, None]
    return trace

# SPDX-License-Identifier: Apache-2.0
"""The package `qonnx` as an executor of integer networks: node by node, image by image.

A leaf: NumPy, onnx, qonnx and the integer network.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx

from hw.params import ParameterError
from model.executor import Trace
from model.intnet import Crossbar, IntNet
from model.onnx_layers import IMAGES, LOGITS
from model.onnx_runtime import as_trace
from model.qonnx_graph import to_qonnx

__all__ = ["traced", "tracer"]

MAX_IR_VERSION = 13
"""`qonnx` hands single nodes to ONNX Runtime in the version of the installed `onnx`, and ONNX
Runtime 1.31 takes no later one; onnx 1.23 writes 14."""


def tracer(net: IntNet) -> Callable[[npt.NDArray[np.uint8]], Trace]:
    """Return what traces a network in `qonnx`, as `model.executor.run` does.

    Raises
    ------
    ParameterError
        If the network is too large for an ONNX graph, or `onnx` too new for `qonnx`.
    """
    if onnx.IR_VERSION > MAX_IR_VERSION:
        raise ParameterError(
            f"onnx must be older than 1.23 for qonnx, not {onnx.__version__}: "
            "pip install 'shiftbar[qonnx]'"
        )
    # Not before: the graph is made without it.
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    model = ModelWrapper(to_qonnx(net))
    names = [*traced(net), LOGITS]

    def trace(images: npt.NDArray[np.uint8]) -> Trace:
        seen = [execute_onnx(model, {IMAGES: image[None]}, True) for image in images]
        found = {name: np.concatenate([each[name] for each in seen]) for name in names}
        return as_trace(net, found)

    return trace


def traced(net: IntNet) -> list[str]:
    """Return the names of the tensors that a trace shows, in the order of the layers."""
    names = []
    for layer in net.layers:
        keys = ["out"]
        if isinstance(layer, Crossbar):
            keys = ["acc"]
            if layer.periphery is not None:
                keys += ["pre", "out"] + (["second"] if layer.periphery.second else [])
        names += [f"{layer.name}.{key}" for key in keys]
    return names

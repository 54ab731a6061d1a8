# SPDX-License-Identifier: Apache-2.0
"""Layers, networks and design points as tests of the cost simulator take them."""

import dataclasses

from model.cost.config_file import load
from model.cost.layers import Layer, Network
from model.layer_shape import LayerShape

__all__ = ["config", "conv", "network"]

ALIKE = load("date2024_22nm")


def config(side=64, **values):
    """Return date2024_22nm with crossbars of side × side, and other values."""
    return dataclasses.replace(ALIKE, **{"array_rows": side, "array_columns": side} | values)


def conv(inputs, outputs, kernel=1, side=16, name="layer", moved=0, statistics=None, **values):
    """Return a convolution that keeps the side of its map."""
    shape = {"stride": 1, "padding": kernel // 2, "groups": 1} | values
    return Layer(
        shape=LayerShape(
            name=name,
            kind="conv",
            in_channels=inputs,
            out_channels=outputs,
            kernel=kernel,
            in_height=side,
            in_width=side,
            **shape,
        ),
        moved=moved,
        statistics=statistics,
    )


def network(*layers):
    return Network(name="test", layers=layers)

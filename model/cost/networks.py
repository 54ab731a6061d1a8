# SPDX-License-Identifier: Apache-2.0
"""The networks that the cost simulator takes: by name, as an integer network, as a JSON list.

A leaf: NumPy, the integer network and layer shapes.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import math
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hw.params import CHANNEL_DIVIDER, Direction, ParameterError
from model import intnet
from model.cost.counters import read
from model.cost.layers import Layer, Network
from model.cost.statistics import Activity, measure
from model.intnet import Crossbar, IntNet, MaxPool, SumPool
from model.layer_shape import MAX_TEXT, LayerShape, layers_from_json
from model.layers import BASELINES, layer_shapes

__all__ = ["REFERENCE_DENSENET", "from_intnet", "from_json", "load", "named"]

REFERENCE_DENSENET = "densenet40_12_dense"
"""The list of the reference simulator: see `named`."""

_ISOTROPIC = re.compile(
    r"(psp|sp|convmixer)[_-]?0*([0-9]{1,40})(?:[_-]0*([0-9]{1,40}))?(?![0-9])", re.IGNORECASE
)

_DIRECTIONS = len(Direction.moving())


def load(source: str, *, counters: Path | None = None) -> Network:
    """Return the network that a user names.

    Parameters
    ----------
    source : str
        A folder of an integer network, a file ``….json`` with a list of layers, or a name.
    counters : Path, optional
        What the RTL counted (`model.cost.counters`); of an integer network only.

    Raises
    ------
    ParameterError
        If it is none of them: one line, with the nearest name. If counters are of another one.
    """
    path = Path(source)
    if source and path.is_dir():
        net = intnet.read(path)
        return from_intnet(net, activity=read(counters, net) if counters is not None else None)
    if counters is not None:
        raise ParameterError(
            f"counters must be of a folder of an integer network, not {reprlib.repr(source)}"
        )
    if path.suffix == ".json":
        return from_json(path)
    if not source or len(path.parts) > 1 or path.exists():
        raise ParameterError(
            f"network must be a name, a folder of an integer network or a file .json with layers, "
            f"not {reprlib.repr(source)}"
        )
    return named(source)


def named(name: str) -> Network:
    """Return a network known by name.

    Parameters
    ----------
    name : str
        One of `model.layers.NAMES`, CIFAR's with 10 classes and 32 pixels, ImageNet's with 1000
        and 224; or `REFERENCE_DENSENET`, which is DenseNet-BC as the reference simulator lists
        it: each 3×3 layer outputs its block's whole map, 746,448 weights instead of 0.17 M.

    Raises
    ------
    ParameterError
        If there is no such network: the nearest names.
    """
    if name == REFERENCE_DENSENET:
        shapes = tuple(_dense_outputs(layer_shapes("densenet40_12")))
    else:
        classes, side = (1000, 224) if name in ("resnet18", "mobilenetv1") else (10, 32)
        try:
            shapes = layer_shapes(name, num_classes=classes, image_size=side)
        except ParameterError as error:
            hint = _nearest(name) if str(error).startswith("name ") else ""
            raise ParameterError(f"{error}{hint}") from None
    pools = _pools(name, shapes)
    return Network(
        name=name,
        layers=tuple(
            Layer(shape=shape, moved=_moved(name, shape), pool=pools.get(shape.name, 1))
            for shape in shapes
        ),
        activations="gelu" if _ISOTROPIC.match(name) else "relu",
    )


def _nearest(name: str) -> str:
    """Return a hint to a known name that looks alike, if there is one."""
    if parts := _ISOTROPIC.match(str(name)):
        # With another ending, in capitals, or without its depth.
        meant = "_".join((parts[1].lower(), parts[2], parts[3] or "8"))
        try:
            layer_shapes(meant)
        except ParameterError:
            return ""
        return f"; the nearest is {meant}"
    known = [*BASELINES, REFERENCE_DENSENET, "psp_256_8", "sp_256_24"]
    close = difflib.get_close_matches(str(name).lower(), known, n=1)
    return f"; the nearest is {close[0]}" if close else ""


def _dense_outputs(shapes: Iterable[LayerShape]) -> Iterator[LayerShape]:
    """Let each growing layer of DenseNet-BC write its block's whole map."""
    block = 0
    for shape in shapes:
        if shape.name.endswith(".bottleneck"):
            block = shape.in_channels
        elif shape.name.endswith(".grow"):
            shape = dataclasses.replace(shape, out_channels=block + shape.out_channels)
        yield shape


def _moved(name: str, shape: LayerShape) -> int:
    """Return the channels that are moved before a layer of a network known by name."""
    moves = {"psp": ".second", "sp": ".mix", "shiftresnet110": ".second"}
    family = re.sub("_.*", "", name)
    if family not in moves or not shape.name.endswith(moves[family]):
        return 0
    # Wu et al., 2018, have nine equal groups, of which eight move.
    divider = _DIRECTIONS + 1 if family == "shiftresnet110" else CHANNEL_DIVIDER
    return _DIRECTIONS * (shape.in_channels // divider)


def _pools(name: str, shapes: tuple[LayerShape, ...]) -> dict[str, int]:
    """Return the pooling windows of a network known by name, by the layer that they follow."""
    if name.startswith(("vgg", "densenet")):
        # The map is halved where the next layer's is smaller; before a linear layer, as well.
        return {
            one.name: 2
            for one, other in itertools.pairwise(shapes)
            if other.in_height < one.out_height
            and (other.kind == "conv" or name.startswith("vgg"))
        }  # fmt: skip
    return {}


def from_json(path: Path) -> Network:
    """Read a list of layers (`model.layers.layers_from_json`); nothing is shifted or pooled.

    Raises
    ------
    ParameterError
        If it cannot be read or is no such list: one line that names the file.
    """
    try:
        with path.open("rb") as file:
            shapes = layers_from_json(file.read(MAX_TEXT + 1))
    except OSError as error:
        raise ParameterError(f"{path} must be a readable file: {error.strerror}") from None
    except ParameterError as error:
        raise type(error)(f"{path}: {error}") from None
    return Network(name=path.stem, layers=tuple(Layer(shape=shape) for shape in shapes))


def from_intnet(
    net: IntNet, *, images: int = 8, activity: Mapping[str, Activity] | None = None
) -> Network:
    """Return an integer network, with the statistics of its weights and of real activations.

    Parameters
    ----------
    net : IntNet
    images : int
        Test images of the zoo that are run, 1…48, if the network takes [3, 32, 32]; for others
        activations are unknown, and assumed later.
    activity : mapping of str to Activity, optional
        By layer, instead of what these images would give.
    """
    statistics = measure(net, images=images, activity=activity)
    layers: list[Layer] = []
    for number, layer in enumerate(net.layers):
        if isinstance(layer, Crossbar):
            following = net.layers[number + 1] if number + 1 < len(net.layers) else None
            layers.append(
                Layer(
                    shape=_shape(net, layer),
                    moved=_moved_by(net, layer),
                    pool=_window(net, following),
                    statistics=statistics[layer.name],
                )
            )
    return Network(name=net.name, layers=tuple(layers))


def _shape(net: IntNet, layer: Crossbar) -> LayerShape:
    source = net.maps[layer.operands[0].map]
    point = (layer.kernel, layer.stride, source.height, source.width) == (1, 1, 1, 1)
    return LayerShape(
        name=layer.name,
        kind="linear" if point else "conv",
        in_channels=source.channels,
        out_channels=layer.outputs,
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        groups=1,
        in_height=source.height,
        in_width=source.width,
    )


def _moved_by(net: IntNet, layer: Crossbar) -> int:
    """Return the channels that one pass of the shift block moves for a layer."""
    read = list(layer.operands)
    if layer.periphery is not None and layer.periphery.add is not None:
        read.append(layer.periphery.add)
    shifted = [net.maps[operand.map].channels for operand in read if operand.shifted]
    return _DIRECTIONS * (shifted[0] // CHANNEL_DIVIDER) if shifted else 0


def _window(net: IntNet, following: object) -> int:
    """Return the side of the window that a layer of the network pools."""
    if isinstance(following, MaxPool):
        return following.window
    if isinstance(following, SumPool):
        pooled = net.maps[following.source]
        return math.isqrt(pooled.height * pooled.width)
    return 1

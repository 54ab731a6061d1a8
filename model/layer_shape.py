# SPDX-License-Identifier: Apache-2.0
"""The shape of a layer, and a list of such shapes as JSON: the cost simulator's other input.

A crossbar sees a convolution as a matrix: the inputs of one output are its rows, the outputs its
columns. `model.layers` lists the layers of every network known by name; networks from elsewhere
come in as JSON. A leaf: the standard library only.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

from hw.params import ParameterError, ParameterTypeError, check_integer

__all__ = ["MAX_MAP", "LayerShape", "layers_from_json", "layers_to_json", "unread"]

Kind = Literal["conv", "linear"]

MAX_FEATURES = 1 << 20
MAX_MAP = 4096
MAX_KERNEL = 64
MAX_LAYERS = 4096
MAX_TEXT = 1 << 22

_NAME = re.compile(r"[A-Za-z0-9_.:/ +-]{1,100}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerShape:
    """Shape of one convolution, or of one linear layer, which sees a map of one pixel.

    Parameters
    ----------
    name : str
        Path of the layer in its network, 1…100 letters, digits, blanks and ``_.:/+-``.
    kind : {"conv", "linear"}
    in_channels, out_channels : int
        1…2^20 each.
    kernel, stride, padding : int
        Side of the square kernel and step, 1…64; zeros on each border, fewer than the kernel.
    groups : int
        Equal parts into which both channel counts divide, and which do not mix.
    in_height, in_width : int
        Rows and columns of the input map, without padding, 1…4096.

    Raises
    ------
    ParameterError
        If a value breaks a rule, or the kernel does not fit in the padded map.
    """

    name: str
    kind: Kind
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    padding: int
    groups: int
    in_height: int
    in_width: int

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ParameterTypeError(f"name must be a string, not {type(self.name).__name__}")
        if not _NAME.fullmatch(self.name):
            raise ParameterError(
                "name must be 1 to 100 ASCII letters, digits, blanks or any of _.:/+-, "
                f"not {reprlib.repr(self.name)}"
            )
        if self.kind not in get_args(Kind):
            raise ParameterError(f'kind must be "conv" or "linear", not {reprlib.repr(self.kind)}')
        check_integer("in_channels", self.in_channels, 1, MAX_FEATURES)
        check_integer("out_channels", self.out_channels, 1, MAX_FEATURES)
        check_integer("kernel", self.kernel, 1, MAX_KERNEL)
        check_integer("stride", self.stride, 1, MAX_KERNEL)
        check_integer("padding", self.padding, 0, self.kernel - 1)
        check_integer("groups", self.groups, 1, MAX_FEATURES)
        check_integer("in_height", self.in_height, 1, MAX_MAP)
        check_integer("in_width", self.in_width, 1, MAX_MAP)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ParameterError(
                f"groups must divide in_channels {self.in_channels} and out_channels "
                f"{self.out_channels}, not {self.groups}"
            )
        largest = min(self.in_height, self.in_width) + 2 * self.padding
        if self.kernel > largest:
            raise ParameterError(
                f"kernel must fit in the padded map, at most {largest}, not {self.kernel}"
            )
        window = (self.kernel, self.stride, self.groups, self.in_height, self.in_width)
        if self.kind == "linear" and window != (1, 1, 1, 1, 1):
            raise ParameterError(
                "a linear layer must have kernel, stride, groups, in_height and in_width 1, "
                f"not {', '.join(map(str, window))}"
            )

    @property
    def out_height(self) -> int:
        """Rows of the output map."""
        return (self.in_height + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def out_width(self) -> int:
        """Columns of the output map."""
        return (self.in_width + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def rows(self) -> int:
        """Rows of the weight matrix of one group: the inputs of one output, cin/groups·k²."""
        return self.in_channels // self.groups * self.kernel**2

    @property
    def columns(self) -> int:
        """Columns of the weight matrix, all groups together: cout."""
        return self.out_channels

    @property
    def weights(self) -> int:
        """Weights, without bias: rows · columns."""
        return self.rows * self.columns

    @property
    def macs(self) -> int:
        """Multiplications of an image, those with padding included: weights · output pixels."""
        return self.weights * self.out_height * self.out_width

    def to_dict(self) -> dict[str, str | int]:
        """Return the ten fields by name, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, value: object) -> LayerShape:
        """Return the layer that `to_dict` wrote: exactly the ten fields, none has a default.

        Raises
        ------
        ParameterError
            If ``value`` is no such dictionary, or a field breaks a rule: one short line.
        """
        if not isinstance(value, dict):
            raise ParameterTypeError(f"a layer must be an object, not {type(value).__name__}")
        fields = [field.name for field in dataclasses.fields(cls)]
        wrong = [f"with {reprlib.repr(key)}{_nearest(key, fields)}" for key in value
                 if key not in fields]  # fmt: skip
        wrong += [f"without {field}" for field in fields if field not in value]
        if wrong:
            raise ParameterError(f"a layer must have the keys {', '.join(fields)}, not {wrong[0]}")
        for key, entry in value.items():
            # Before a message can quote it: the value may be of any kind and of any length.
            if not isinstance(entry, str | int):
                what = "a string" if key in ("name", "kind") else "an integer"
                raise ParameterTypeError(f"{key} must be {what}, not {type(entry).__name__}")
            if (len(entry) if isinstance(entry, str) else entry.bit_length()) > 100:
                raise ParameterError(f"{key} must have at most 100 characters or bits")
        return cls(**value)


def layers_to_json(layers: Iterable[LayerShape]) -> str:
    """Return a layer list as JSON text, one layer a line."""
    return "[\n" + ",\n".join(json.dumps(layer.to_dict()) for layer in layers) + "\n]\n"


def _nearest(key: object, fields: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(key)[:100], fields, n=1)
    return f"; the nearest is {close[0]}" if close else ""


def layers_from_json(text: str | bytes) -> tuple[LayerShape, ...]:
    """Read a layer list from JSON text that anybody may have written.

    Parameters
    ----------
    text : str or bytes
        A list of 1…4096 objects with the fields of `LayerShape`, at most 4 MiB; names differ.

    Raises
    ------
    ParameterError
        If it is anything else: one line with the number of the layer, counted from 0.
    """
    if len(text) > MAX_TEXT:
        raise ParameterError(f"a layer list must have at most {MAX_TEXT} bytes, not {len(text)}")
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats)
    except ParameterError:
        raise
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"a layer list must be JSON: {unread(error)}") from None
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LAYERS:
        count = f" of {len(value)}" if isinstance(value, list) else ""
        raise ParameterError(
            f"a layer list must be a list of 1 to {MAX_LAYERS} layers, "
            f"not a {type(value).__name__}{count}"
        )
    layers: dict[str, LayerShape] = {}
    for number, entry in enumerate(value):
        try:
            layer = LayerShape.from_dict(entry)
        except ParameterError as error:
            raise type(error)(f"layer {number}: {error}") from None
        if layer.name in layers:
            raise ParameterError(f"layer {number}: name must differ from others: {layer.name!r}")
        layers[layer.name] = layer
    return tuple(layers.values())


def unread(error: ValueError | RecursionError) -> str:
    """Return why a text is no JSON or TOML; of Python's own limits, what is beyond them."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    # An integer of too many digits is the one ValueError that is neither the parser's nor UTF-8's.
    return "a number is too long" if type(error) is ValueError else str(error)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs; JSON itself would let the last of two equal keys win."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ParameterError("a layer must have each key once")
    return value

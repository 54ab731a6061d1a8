# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: one safetensors file, complete or absent, and never a pickle.

Tensors lie under ``model.…``, ``ema.…`` and ``optimizer.…``; what is no tensor (the recipe, the
epoch, accuracies) is one JSON object in the file's metadata, so that the two cannot part.
A file from outside is hostile until checked: sizes are bounded before anything is read, and a
tensor must have the shape and dtype of the one that it replaces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from hw.disk import replace

__all__ = ["CheckpointError", "check_same", "load_into", "match", "read", "replace", "write"]

FORMAT = 1
MAX_BYTES = 1 << 31
MAX_TENSORS = 100_000
MAX_NAME = 200
_KEY = "shiftbar"


class CheckpointError(ValueError):
    """A checkpoint is damaged, hostile, or belongs to another network."""


def write(file: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    file : Path
        Its folder must exist.
    tensors : mapping of str to torch.Tensor
    facts : mapping
        Anything that JSON can hold.
    """
    text = json.dumps({"format": FORMAT, **facts}, sort_keys=True)
    kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    replace(file, save(kept, metadata={_KEY: text}))


def read(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a checkpoint's tensors and facts.

    Raises
    ------
    CheckpointError
        If it is missing, too large, damaged, or no checkpoint of this project.
    """
    try:
        if file.is_dir():
            raise CheckpointError(f"{file} must be a file, not a folder")
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise CheckpointError(f"{file} must have at most {MAX_BYTES} bytes, not {size}")
        with safe_open(file, framework="pt") as content:
            metadata = content.metadata() or {}
            names = list(content.keys())
            if len(names) > MAX_TENSORS:
                raise CheckpointError(
                    f"{file} must hold at most {MAX_TENSORS} tensors, not {len(names)}"
                )
            # They are told in messages, on somebody's terminal.
            if not all(len(name) <= MAX_NAME and name.isprintable() for name in names):
                raise CheckpointError(
                    f"{file} must name its tensors in at most {MAX_NAME} printable characters"
                )
            tensors = {name: content.get_tensor(name) for name in names}
    except OSError as error:
        raise CheckpointError(
            f"{file} must be a readable file: {error.strerror or error}"
        ) from None
    except SafetensorError as error:
        # It may quote the file at length.
        raise CheckpointError(f"{file} must be a safetensors file: {error!s:.200}") from None
    try:
        facts = json.loads(metadata[_KEY])
        version = facts["format"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CheckpointError(f"{file} must be a checkpoint of shiftbar: no facts in it") from None
    if version != FORMAT:
        raise CheckpointError(f"{file} must have format {FORMAT}, not {version!r:.60}")
    return tensors, facts


def check_same(rule: str, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Check that settings are those of a run.

    Raises
    ------
    CheckpointError
        With the rule, and the first setting that differs.
    """
    for name in {**wanted, **stored}:
        if stored.get(name) != wanted.get(name):
            raise CheckpointError(
                f"{rule}: its {name} is {stored.get(name)!r:.60}, not {wanted.get(name)!r:.60}"
            )


def match(
    own: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor], prefix: str
) -> dict[str, torch.Tensor]:
    """Return the tensors under ``prefix``, by name without it, if they fit one's own exactly.

    Raises
    ------
    CheckpointError
        If a name is missing or too many, or a shape or dtype differs.
    """
    given = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    for name in sorted(own.keys() ^ given.keys()):
        lacks = "lacks" if name in own else "has no place for"
        raise CheckpointError(f"the checkpoint {lacks} {prefix}{name}")
    for name, value in given.items():
        wanted = own[name]
        if value.shape != wanted.shape or value.dtype != wanted.dtype:
            raise CheckpointError(
                f"{prefix}{name} must be {wanted.dtype} {list(wanted.shape)}, "
                f"not {value.dtype} {list(value.shape)}"
            )
    return given


def load_into(module: nn.Module, tensors: Mapping[str, torch.Tensor], prefix: str) -> None:
    """Copy the tensors under ``prefix`` into a module, exactly matching its own.

    Raises
    ------
    CheckpointError
        As `match`.
    """
    module.load_state_dict(match(module.state_dict(), tensors, prefix))

# SPDX-License-Identifier: Apache-2.0
"""Integer networks by name: those of the zoo, or any folder. A leaf."""

from __future__ import annotations

import argparse
from pathlib import Path

from hw import cli
from hw.params import ParameterError
from model import intnet

__all__ = ["NETWORK", "add_net", "network", "with_digest"]

NETWORK = "psp_64_4"
"""The accelerator's, unless told otherwise."""

_ZOO = Path(__file__).parent.parent / "model/zoo"


def add_net(command: cli.Parser) -> None:
    """Add the option that names the accelerator's network, there if it is given."""
    command.add_argument(
        "--net",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help=f"the accelerator's network: of the zoo, or a folder (default: {NETWORK})",
    )


def network(name: str) -> Path:
    """Return the folder of an integer network: one of the zoo, by name, or any.

    Parameters
    ----------
    name : str
        ``psp_64_4_int4``; ``psp_64_4``, which is its INT8; or a folder.

    Raises
    ------
    ParameterError
        If there is none.
    """
    for folder in (_ZOO / name, _ZOO / f"{name}_int8", Path(name)):
        if (folder / "intnet.json").is_file():
            return folder
    names = {folder.name for folder in _folders()}
    known = ", ".join(sorted(names | {each.removesuffix("_int8") for each in names}))
    raise ParameterError(
        f"a network must be one of the zoo ({known}) or a folder with an intnet.json, not {name!r}"
    )


def with_digest(sha256: object) -> Path | None:
    """Return the folder of the zoo's network with a digest, None if it has none."""
    return next((each for each in _folders() if intnet.digest(intnet.read(each)) == sha256), None)


def _folders() -> list[Path]:
    return sorted(file.parent for file in _ZOO.glob("*/intnet.json"))

# SPDX-License-Identifier: Apache-2.0
"""What nextpnr's FASM says wrongly or not at all: repaired where that is certain, else refused.

A RAMB36 is two RAMB18 halves, and each port of it is written as two of half the width. 9 bits are
twice 4 and a setting of the whole block, ``RAMB36.BRAM36_{READ,WRITE}_WIDTH_{A,B}_1`` (prjxray,
``fuzzers/027-bram36-config``), which nextpnr never writes (openXC7/nextpnr-xilinx#94): without it
the port has 8 bits and parity reads 0. A port of 1 bit has the same fate, but is written as one of
2 has to be, so that `fpga.netlist_guard` refuses it. A leaf: the standard library.
"""

from __future__ import annotations

import re

__all__ = ["FasmGuardError", "repair"]

_UNSAFE = {
    r"DSP_[LR]_\w+\.DSP48\..*": "a DSP48E1, whose constant inputs nextpnr does not write",
    r"\w+\.SLICEM_X\d\.[A-D]LUT\.RAM": "LUT RAM, which loses its initial contents",
    r"\w+\.SLICE[LM]_X\d\.LATCH": "a latch, which nobody has followed down to the bits",
    r"\w+\.PLLE2_ADV\..*|\w+\.MMCME2_ADV\..*": "a PLL or MMCM, which may never lock",
    r"BRAM_[LR]_\w+\.RAMB36\.EN_ECC_.*": "a block RAM with ECC, which nobody has followed "
    "down to the bits",
}
"""Features of what must not be in a design, and what they are."""

_RAMB36 = re.compile(r"(BRAM_[LR]_\w+)\.BRAM_FIFO36_\w+\..*")
"""Wires that only a RAMB36 has; those of single halves are called BRAM_FIFO18 and BRAM_RAMB18."""

_HALF = re.compile(r"(BRAM_[LR]_\w+)\.RAMB18_Y([01])\.((?:READ|WRITE)_WIDTH_[AB])_4")
_WHOLE = re.compile(r"(BRAM_[LR]_\w+)\.RAMB36\.BRAM36_((?:READ|WRITE)_WIDTH_[AB])_1")


class FasmGuardError(Exception):
    """A FASM holds what becomes a wrong bitstream, and nothing certain can be done about it."""


def repair(fasm: str, *, half_widths: int) -> str:
    """Return a FASM with the settings that nextpnr forgets.

    Parameters
    ----------
    fasm : str
        As nextpnr writes it: ended by a newline.
    half_widths : int
        How many settings the netlist needs (`fpga.netlist_guard.half_widths`).

    Raises
    ------
    FasmGuardError
        If it holds cells that come out wrong, if its end is missing, or if it does not need as many
        settings as the netlist says.
    """
    if not fasm.endswith("\n"):
        raise FasmGuardError("the FASM must end in a newline: it is cut off")
    features = [
        feature
        for line in fasm.splitlines()
        if (feature := line.partition("#")[0].partition("=")[0].strip())
    ]
    if not features:
        raise FasmGuardError("the FASM must not be empty")
    _refuse(features)
    whole = {found[1] for feature in features if (found := _RAMB36.fullmatch(feature))}
    halves: dict[tuple[str, str], set[str]] = {}
    for feature in features:
        if (found := _HALF.fullmatch(feature)) and found[1] in whole:
            halves.setdefault((found[1], found[3]), set()).add(found[2])
    for (tile, width), both in sorted(halves.items()):
        if len(both) == 1:
            raise FasmGuardError(f"both halves of the RAMB36 in {tile} must have the same {width}")
    if len(halves) != half_widths:
        raise FasmGuardError(
            f"the FASM must have as many RAMB36 ports of 9 bits as the netlist, {half_widths}, "
            f"not {len(halves)}"
        )
    written = {(found[1], found[2]) for line in features if (found := _WHOLE.fullmatch(line))}
    missing = sorted(halves.keys() - written)
    return fasm + "".join(f"{tile}.RAMB36.BRAM36_{width}_1\n" for tile, width in missing)


def _refuse(features: list[str]) -> None:
    """Raise for what must not be in a design."""
    for pattern, what in _UNSAFE.items():
        match = re.compile(pattern).fullmatch
        found = next((feature for feature in features if match(feature)), None)
        if found is not None:
            raise FasmGuardError(f"the FASM must not hold {what}, as {found} is")

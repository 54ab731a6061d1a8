# SPDX-License-Identifier: Apache-2.0
"""What the tools behind Yosys get wrong without a word, refused in its netlist.

nextpnr and prjxray's database turn some Artix-7 cells into a bitstream that does something else. A
netlist may hold the cells of a safe list only, those that were followed down to the bits; the rest
is refused by name. A leaf: the standard library.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["Modules", "NetlistError", "check", "half_widths", "ram_fault"]

Modules = dict[str, dict[str, Any]]
"""The modules of a Yosys JSON netlist, by name."""

_SAFE = re.compile(
    r"LUT[1-6]|INV|MUXF[78]|CARRY4|SRL16E|SRLC32E|FD[RSCP]E|RAMB18E1|RAMB36E1|"
    r"BUFG|BUFGCE|IBUF|IBUFDS|OBUF|VCC|GND"
)

_REASONS = {
    r"RAM\d+.*": "LUT RAM loses its initial contents (YosysHQ/nextpnr#1765)",
    r"DSP48E1": "its constant inputs are not written and products come out wrong "
    "(openXC7/nextpnr-xilinx#159)",
    r"MMCM.*|PLL.*": "it may never lock (openXC7/nextpnr-xilinx#79)",
    r"LD[CP]E": "nextpnr has no latches",
    r"SRLC\d+.*": "nextpnr has no shift register beyond 32",
}

_WIDTHS = ("READ_WIDTH_A", "READ_WIDTH_B", "WRITE_WIDTH_A", "WRITE_WIDTH_B")


class NetlistError(Exception):
    """A netlist holds cells that the tools behind Yosys refuse or get wrong."""


def ram_fault(path: str, cell: dict[str, Any]) -> str | None:
    """Say why a RAMB36E1 comes out wrong; None for any other cell.

    nextpnr writes a port of 1 bit as one of 2, which cannot be told from it any more, and one of 9
    bits as one of 8: parity bits read 0 (openXC7/nextpnr-xilinx#94). `fpga.fasm_guard` repairs the
    latter; parity stays refused, as no board has tried it.

    Parameters
    ----------
    path : str
        Name of the cell.
    cell : dict
        As in Yosys' JSON.
    """
    if cell["type"] != "RAMB36E1":
        return None
    settings, nets = cell["parameters"], cell["connections"]
    widths = {int(bits, 2) for name, bits in settings.items() if "_WIDTH_" in name}
    parity = any(isinstance(net, int) for port in ("DIPADIP", "DIPBDIP") for net in nets[port])
    parity |= any("1" in bits for name, bits in settings.items() if name.startswith("INITP"))
    if 1 in widths or (9 in widths and parity):
        return (
            f"a RAMB36 must have no port of 1 bit, nor one of 9 with a parity bit in use, "
            f"as {path} has"
        )
    return None


def half_widths(module: dict[str, Any]) -> int:
    """Count the settings of RAMB36E1 that nextpnr forgets: one for each port width of 9."""
    return sum(
        int(cell["parameters"].get(name, "0"), 2) == 9
        for cell in module["cells"].values()
        if cell["type"] == "RAMB36E1"
        for name in _WIDTHS
    )


def check(modules: Modules, top: str) -> None:
    """Refuse a flat netlist that the tools behind Yosys get wrong.

    Parameters
    ----------
    modules : Modules
    top : str
        The module that becomes the bitstream; it must have none below it.

    Raises
    ------
    NetlistError
        Names each kind of cell that is not on the safe list, one such cell and the reason; or the
        first block RAM that comes out wrong.
    """
    unsafe: dict[str, str] = {}
    for path, cell in modules[top]["cells"].items():
        kind = cell["type"]
        if kind.startswith("$scopeinfo") or _SAFE.fullmatch(kind):
            continue
        unsafe.setdefault(kind, path)
    if unsafe:
        raise NetlistError(
            "the netlist must hold cells of the safe list only, not "
            + "; ".join(
                f"{kind} ({path}): {_reason(kind)}" for kind, path in sorted(unsafe.items())
            )
        )
    for path, cell in modules[top]["cells"].items():
        if fault := ram_fault(path, cell):
            raise NetlistError(fault)


def _reason(kind: str) -> str:
    for pattern, reason in _REASONS.items():
        if re.fullmatch(pattern, kind):
            return reason
    return "nobody has followed it down to the bits"

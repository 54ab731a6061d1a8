# SPDX-License-Identifier: Apache-2.0
"""The boards: their parts, and the pins that a design's top has.

Sources of the pins: Digilent's Arty-A7-35-Master.xdc and Arty-A7-100-Master.xdc (as in
amaranth-boards, ``arty_a7.py``); litex-boards, ``xilinx_ac701.py``, and AMD UG952 for the AC701.
Their banks were checked with prjxray's ``package_pins.csv``. Sizes of the parts: AMD DS180.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["BOARDS", "Board", "Limits", "Pin", "xdc"]


@dataclasses.dataclass(frozen=True)
class Pin:
    """A pin of the package, and the standard of the signal on it."""

    name: str
    standard: str


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a part has: LUTs of 6 inputs, flip-flops, block RAMs of 36 Kbit."""

    luts: int
    ffs: int
    block_rams: int


@dataclasses.dataclass(frozen=True)
class Board:
    """A board, as far as a design with a serial link needs to know it.

    Parameters
    ----------
    name : str
        As on command lines.
    part : str
        Name of the part in prjxray's database; also nextpnr's ``--device``.
    clock_hz : int
        Frequency at which the design runs, without PLL.
    clock : tuple of Pin
        One pin, or the positive and the negative pin of a differential pair.
    reset : Pin
    reset_active_low : bool
    uart_rx, uart_tx : Pin
        As the FPGA sees them: it receives on ``uart_rx``.
    leds : tuple of Pin
        Four, lit by 1.
    cable : str
        Name of the board at openFPGALoader.
    limits : Limits
        Those of the part, which nextpnr does not know: it places a 35T as the 50T that its die is.
    """

    name: str
    part: str
    clock_hz: int
    clock: tuple[Pin, ...]
    reset: Pin
    reset_active_low: bool
    uart_rx: Pin
    uart_tx: Pin
    leds: tuple[Pin, ...]
    cable: str
    limits: Limits

    @property
    def clock_ports(self) -> tuple[str, ...]:
        """Names of the top's clock ports: ``clk``, or ``clk_p`` and ``clk_n``."""
        return ("clk",) if len(self.clock) == 1 else ("clk_p", "clk_n")

    def ports(self) -> Iterator[tuple[str, Pin]]:
        """Yield the top's ports, bit by bit, with their pins."""
        yield from zip(self.clock_ports, self.clock, strict=True)
        yield from (("rst", self.reset), ("uart_rx", self.uart_rx), ("uart_tx", self.uart_tx))
        for index, pin in enumerate(self.leds):
            yield f"led[{index}]", pin


def xdc(
    ports: Iterable[tuple[str, Pin]], *, clock: str, clock_hz: int, divided: Mapping[str, int]
) -> str:
    """Return constraints in nextpnr's dialect of XDC: pins and their standards, and the clock.

    Parameters
    ----------
    ports : iterable of str and Pin
        As `Board.ports` has them: each bit of a port by itself, ``led[0]``.
    clock : str
        The port on which the clock comes, the positive one of two.
    clock_hz : int
    divided : mapping of str to int
        Nets of clocks made of it, and by how much each is slower; 1 says nothing.
    """
    lines = [
        f"set_property -dict {{LOC {pin.name} IOSTANDARD {pin.standard}}} [get_ports {{{port}}}]"
        for port, pin in ports
    ]
    lines.append(f"create_clock -period {1e9 / clock_hz:g} [get_ports {{{clock}}}]")
    lines += [
        f"create_clock -period {1e9 * by / clock_hz:g} [get_nets {{{net}}}]"
        for net, by in divided.items()
        if by > 1
    ]
    return "\n".join(lines) + "\n"


def _pins(standard: str, *names: str) -> tuple[Pin, ...]:
    return tuple(Pin(name, standard) for name in names)


# The red button, which is 0 when pressed. With jumper JP2 on the board, opening the serial port
# presses it too; the link begins with SYNC and does not mind.
_ARTY = Board(
    name="arty_a7_35t",
    part="xc7a35tcsg324-1",
    clock_hz=100_000_000,
    clock=_pins("LVCMOS33", "E3"),
    reset=Pin("C2", "LVCMOS33"),
    reset_active_low=True,
    uart_rx=Pin("A9", "LVCMOS33"),
    uart_tx=Pin("D10", "LVCMOS33"),
    leds=_pins("LVCMOS33", "H5", "J5", "T9", "T10"),
    cable="arty_a7_35t",
    limits=Limits(luts=20_800, ffs=41_600, block_rams=50),
)

# Reset is in a bank of 1.5 V; with SSTL15, as others have it, nextpnr sets a reference of 0.675 V.
_AC701 = Board(
    name="ac701",
    part="xc7a200tfbg676-2",
    clock_hz=200_000_000,
    clock=_pins("DIFF_SSTL15", "R3", "P3"),
    reset=Pin("U4", "LVCMOS15"),
    reset_active_low=False,
    uart_rx=Pin("T19", "LVCMOS18"),
    uart_tx=Pin("U19", "LVCMOS18"),
    leds=_pins("LVCMOS33", "M26", "T24", "T25", "R26"),
    cable="ac701",
    limits=Limits(luts=134_600, ffs=269_200, block_rams=365),
)

BOARDS = {
    board.name: board
    for board in (
        _ARTY,
        dataclasses.replace(
            _ARTY,
            name="arty_a7_100t",
            part="xc7a100tcsg324-1",
            cable="arty_a7_100t",
            limits=Limits(luts=63_400, ffs=126_800, block_rams=135),
        ),
        _AC701,
    )
}
"""The boards by name."""

# SPDX-License-Identifier: Apache-2.0
"""Gates against RTL: ``python -m cosim.gates --design shift --routed``.

A board's whole design, pads and UART included, as RTL, as Yosys has mapped it to Artix-7 cells, and
as nextpnr has placed and routed it, with LUTs and block RAMs as the bitstream configures them: to
the same requests all must send the same bytes in the same cycles. Then, as a negative control, one
bit of a LUT and one of a block RAM are flipped in each netlist, which must be noticed.

``--design accelerator`` runs a test image on the synthesised accelerator of a network, against the
golden executor; it takes some ten minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cosim import accelerator_gates, cells, serial, simulators
from cosim.conversation import Transcript, converse
from cosim.design import Block
from cosim.netlist import Netlist, NetlistError, from_yosys
from cosim.routed import from_nextpnr
from cosim.runner import BuildError
from fpga import flow, stages, steps, yosys
from fpga.bits import BitsError, contents, read_bits
from fpga.boards import BOARDS, Board
from fpga.database import Database, DatabaseError
from fpga.designs import TOP, sources
from fpga.networks import NETWORK, network
from fpga.toolchain import Toolchain, ToolchainError, find
from fpga.top import BAUD
from hw import cli, disk
from hw.image import build
from hw.params import ParameterError
from model import intnet
from model.agreement import MismatchError
from model.images import zoo_images

__all__ = ["device", "faulty", "main", "mapped", "placed", "talk"]

PROGRAM = "python -m cosim.gates"
DESIGNS = ("shift", "accelerator")
BOARD = "arty_a7_35t"
"""Whose shift design, unless told otherwise."""

MAP_RAM = "device.core.design.memory.memory.0.0"
"""Block RAM of the map; the LUT before bit 7 lets the pixel that was read through, or the host's
byte, or zeros. With few ones at its inputs it is the pixel that passes."""

INFO_RAM = "device.core.info.memory.0.0"
"""Block RAM that holds what a device says of itself, from its first byte."""

PADS = {"IBUF", "OBUF", "BUFG"}
"""Cells that the RTL has."""


def device(text: str, board: Board) -> Block:
    """Return a board's top with the ports of `fpga.device.Device`, for the same harness."""
    level = "~" if board.reset_active_low else ""
    wrapper = f"""\
module device(input clk, rst, rx, output tx, busy, error);
  wire [{len(board.leds) - 1}:0] led;
  {TOP} {TOP}(.clk(clk), .rst({level}rst), .uart_rx(rx), .uart_tx(tx), .led(led));
  assign busy = 1'b0, error = 1'b0;
endmodule
"""
    return Block("device", wrapper + text, ())


def talk(text: str, board: Board) -> Transcript:
    """Simulate a board's top, and talk to it."""
    clocks_per_bit = board.clock_hz / BAUD
    library = serial.build(device(text, board))
    with serial.Line(library, clocks_per_bit=clocks_per_bit) as line:
        return converse(line, silence=int(400 * clocks_per_bit))


def mapped(rtl: str) -> Netlist:
    """Return a top as Yosys maps it.

    Raises
    ------
    yosys.YosysError
        If it fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.v").write_text(rtl, encoding="utf-8")
        commands = ["read_verilog top.v", *yosys.synthesis(TOP, pads=True)]
        yosys.run([*commands, "write_json netlist.json"], folder)
        return from_yosys(_json(folder / "netlist.json"), TOP)


def placed(folder: Path, board: Board, tools: Toolchain) -> Netlist:
    """Return a board's routed design, with the contents of its bitstream.

    Parameters
    ----------
    folder : Path
        As `fpga.flow` leaves it.

    Raises
    ------
    NetlistError, BitsError, DatabaseError
        If a file is not what it should be.
    """
    database = Database(tools.database, board.part)
    with (folder / "top.bits").open("rb") as stream:
        tables = contents(read_bits(stream, database.addresses), database)
    return from_nextpnr(_json(folder / "routed.json"), tables, database)


def _json(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def faulty(netlist: Netlist) -> Iterator[tuple[str, Netlist]]:
    """Yield what has been flipped, and the netlist with it."""
    pins = netlist.cells[MAP_RAM].pins
    lut, entry = netlist.passing(pins["DOADO"][7], pins["DIADI"][7])
    yield f"bit {entry} of the LUT {lut}", netlist.flip(lut, "INIT", entry)
    yield "bit 37 of the block RAM of info", netlist.flip(INFO_RAM, "INIT_00", 37)


def _check(name: str, netlist: Netlist, rtl: Transcript, board: Board) -> bool:
    """Compare a netlist with the RTL, and its faults; tell, and return whether all is well."""
    models = netlist.models()
    difference = rtl.difference(talk(netlist.verilog() + models, board))
    if difference is not None:
        print(f"{name}: {difference}")
        return False
    print(f"{name}: {len(netlist.cells)} cells, all as in RTL")
    good = True
    for what, wrong in faulty(netlist):
        noticed = rtl.difference(talk(wrong.verilog() + models, board))
        print(f"{name}, {what} flipped, noticed by: {noticed or 'nobody notices'}")
        good = good and noticed is not None
    return good


def _shift(board: Board, *, routed: bool) -> bool:
    """Compare the netlists of a board's shift design; tell, and return whether all is well."""
    netlists = {}
    if routed:
        tools = find()
        folder = flow.ROOT / "build/fpga" / f"{board.name}_shift"
        stages.build(folder, steps.stages_of(board, "shift", None, 1, tools))
        text = (folder / "top.v").read_text("utf-8")
        netlists["synthesised"] = from_yosys(_json(folder / "netlist.json"), TOP)
        netlists["routed"] = placed(folder, board, tools)
    else:
        text = sources("shift", board, None, Path())["top.v"]
        netlists["synthesised"] = mapped(text)
    rtl = talk(text + cells.models(PADS), board)
    if rtl.faults:
        print(f"RTL: {rtl.faults[0]}")
        return False
    print(f"RTL: {rtl.answered} bytes answered in {rtl.cycles} cycles")
    return all([_check(name, netlist, rtl, board) for name, netlist in netlists.items()])


def _accelerator(folder: Path) -> bool:
    """Run an image on a network's accelerator; tell, and return whether all is well."""
    net = intnet.read(folder)
    image = build(net)
    pixels = zoo_images()[0][0]
    netlist = accelerator_gates.mapped(image)
    try:
        compared = accelerator_gates.check(net, image, netlist, pixels)
    except MismatchError as error:
        print(f"synthesised: {error}")
        return False
    print(
        f"synthesised: {len(netlist.cells)} cells, {compared} values of {net.name} as in the "
        "golden executor"
    )
    good = True
    for what, wrong in accelerator_gates.faulty(netlist):
        noticed = "nobody notices"
        try:
            accelerator_gates.check(net, image, wrong, pixels)
            good = False
        except MismatchError as error:
            noticed = str(error)
        print(f"synthesised, {what} flipped, noticed by: {noticed}")
    return good


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(PROGRAM, "Compare a board's netlists with its RTL in simulation.")
    command.add_argument("--design", choices=DESIGNS, default="shift", help="what to compare")
    command.add_argument(
        "--board", choices=sorted(name for name, board in BOARDS.items() if len(board.clock) == 1),
        default=argparse.SUPPRESS, help=f"with the design shift: of what (default: {BOARD})",
    )  # fmt: skip
    command.add_argument(
        "--routed", action="store_true", default=argparse.SUPPRESS,
        help="with the design shift: placed and routed, too; builds the bitstream",
    )  # fmt: skip
    command.add_argument(
        "--net", metavar="NAME", default=argparse.SUPPRESS,
        help="with the design accelerator: its network, of the zoo or a folder "
        f"(default: {NETWORK})",
    )  # fmt: skip
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        if options.design == "accelerator":
            rule = "must come with --design shift, not accelerator"
            cli.refuse(options, ["board", "routed"], rule)
            good = _accelerator(network(getattr(options, "net", NETWORK)))
        else:
            cli.refuse(options, ["net"], "must come with --design accelerator, not shift")
            board = BOARDS[getattr(options, "board", BOARD)]
            good = _shift(board, routed="routed" in options)
        return 0 if good else 1
    except (ParameterError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except (
        BitsError, BuildError, DatabaseError, NetlistError, ToolchainError, cells.CellError,
        simulators.SimulatorError, stages.BuildError, yosys.YosysError,
    ) as error:  # fmt: skip
        return cli.failed(PROGRAM, error)


if __name__ == "__main__":
    cli.run(main)

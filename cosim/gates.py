# SPDX-License-Identifier: Apache-2.0
"""Gates against RTL: ``python -m cosim.gates --design shift --routed``.

A board's whole design, pads and UART included, as RTL, as Yosys has mapped it to Artix-7 cells, and
as nextpnr has placed and routed it, with LUTs and block RAMs as the bitstream configures them: to
the same requests all must send the same bytes in the same cycles. Then, as a negative control, one
bit of a LUT and one of a block RAM are flipped in each netlist, which must be noticed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cosim import cells, serial, simulators
from cosim.conversation import Transcript, converse
from cosim.design import Block
from cosim.netlist import Netlist, NetlistError, from_yosys
from cosim.routed import from_nextpnr
from cosim.runner import BuildError
from fpga import flow, stages, yosys
from fpga.bits import BitsError, contents, read_bits
from fpga.boards import BOARDS, Board
from fpga.database import Database, DatabaseError
from fpga.designs import TOP, sources
from fpga.toolchain import Toolchain, ToolchainError, find
from fpga.top import BAUD
from hw import cli
from hw.params import ParameterError

__all__ = ["device", "faulty", "main", "mapped", "placed", "talk"]

PROGRAM = "python -m cosim.gates"
DESIGN = "shift"

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
    lut = netlist.parity_lut()
    yield f"a bit of the LUT {lut}", netlist.flip(lut, "INIT", 0)
    yield "a bit of the block RAM of info", netlist.flip(INFO_RAM, "INIT_00", 37)


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
        print(f"{name}, {what} flipped: {noticed or 'nobody notices'}")
        good = good and noticed is not None
    return good


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(PROGRAM, "Compare a board's netlists with its RTL in simulation.")
    command.add_argument("--design", choices=[DESIGN], default=DESIGN, help="what to compare")
    command.add_argument(
        "--board",
        choices=sorted(name for name, board in BOARDS.items() if len(board.clock) == 1),
        default="arty_a7_35t",
        help="of what",
    )
    command.add_argument(
        "--routed", action="store_true", help="placed and routed, too; builds the bitstream"
    )
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    board = BOARDS[options.board]
    try:
        netlists = {}
        if options.routed:
            tools = find()
            folder = flow.ROOT / "build/fpga" / f"{board.name}_{options.design}"
            stages.build(folder, flow.stages_of(board, options.design, 1, tools))
            text = (folder / "top.v").read_text("utf-8")
            netlists["synthesised"] = from_yosys(_json(folder / "netlist.json"), TOP)
            netlists["routed"] = placed(folder, board, tools)
        else:
            text = sources(options.design, board, Path())["top.v"]
            netlists["synthesised"] = mapped(text)
        rtl = talk(text + cells.models(PADS), board)
        if rtl.faults:
            print(f"RTL: {rtl.faults[0]}")
            return 1
        print(f"RTL: {rtl.answered} bytes answered in {rtl.cycles} cycles")
        return 0 if all([_check(name, each, rtl, board) for name, each in netlists.items()]) else 1
    except ParameterError as error:
        cli.bad_input(PROGRAM, error)
    except (
        BitsError, BuildError, DatabaseError, NetlistError, ToolchainError, cells.CellError,
        simulators.SimulatorError, stages.BuildError, yosys.YosysError,
    ) as error:  # fmt: skip
        sys.stderr.write(f"{PROGRAM}: {' '.join(str(error).split())}\n")
        return 1


if __name__ == "__main__":
    cli.run(main)

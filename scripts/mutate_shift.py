# SPDX-License-Identifier: Apache-2.0
"""Mutation check of the shift module: co-simulation must catch each fault.

Each is simulated through ``cosim.body_shift_module``; of every fault that survives a SAT solver
must say that nothing can be seen of it at the ports, in which case it is no fault. The shapes are
small and cover both a square map and one whose diagonal walk has several loops.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
import sys
import tempfile
from pathlib import Path

from rich.progress import track

from cosim.design import Block, Design, bundle, emit_block
from cosim.runner import SimulationError, run
from cosim.vectors import moved, random_maps
from fpga import yosys
from hw.params import ShiftParams
from hw.shift import ShiftModule
from scripts.rtl_faults import LINT, SEED, list_faults
from scripts.verdicts import Verdict

SHAPES = (ShiftParams(height=4, width=4, bits=2), ShiftParams(height=6, width=4, bits=2))

OBSERVER = """
module observer(input clk, rst, start, input [2:0] direction, input [1:0] mem_rdata, output bad);
  wire ready_a, done_a, we_a, ready_b, done_b, we_b;
  wire [{high}:0] addr_a, addr_b;
  wire [1:0] wdata_a, wdata_b;
  gold a(.clk(clk), .rst(rst), .start(start), .direction(direction), .mem_rdata(mem_rdata),
         .ready(ready_a), .done(done_a), .mem_we(we_a), .mem_addr(addr_a), .mem_wdata(wdata_a));
  gate b(.clk(clk), .rst(rst), .start(start), .direction(direction), .mem_rdata(mem_rdata),
         .ready(ready_b), .done(done_b), .mem_we(we_b), .mem_addr(addr_b), .mem_wdata(wdata_b));
  // Address and data say nothing in cycles without an access.
  assign bad = ready_a != ready_b || done_a != done_b || we_a != we_b
               || (we_a && (addr_a != addr_b || wdata_a != wdata_b));
endmodule
"""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A module with one fault."""

    name: str
    params: ShiftParams
    fault: str
    text: str


def mutants(params: ShiftParams, count: int) -> list[Mutant]:
    """Return ``count`` different single faults of the module, chosen by Yosys with a fixed seed."""
    sound = emit_block(ShiftModule(params=params), "shift_module")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sound.v").write_text(sound.text, encoding="utf-8")
        flat = [
            "read_verilog sound.v",
            "hierarchy -top shift_module",
            "proc",
            "flatten",
            "opt_clean",
        ]
        faults = list_faults(flat, folder, count, {"module": ""})
        commands = [*flat, "design -save sound"]
        for number, fault in enumerate(faults):
            commands += [
                "design -load sound",
                fault.command,
                f"rename shift_module mutant_{params.name}_{number}",
                f"write_verilog -noattr {number}.v",
            ]
        yosys.run(commands, folder)
        return [
            Mutant(
                f"mutant_{params.name}_{number}",
                params,
                fault.text,
                LINT + (folder / f"{number}.v").read_text(encoding="utf-8"),
            )
            for number, fault in enumerate(faults)
        ]


def equivalent(mutant: Mutant) -> bool:
    """Whether nothing can be seen of the fault at the ports, ever, from reset on.

    By temporal induction; a fault that is neither proven invisible nor visible within three
    operations counts as visible.
    """
    sound = emit_block(ShiftModule(params=mutant.params), "gold")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "gold.v").write_text(sound.text, encoding="utf-8")
        (folder / "gate.v").write_text(
            mutant.text.replace(f"module {mutant.name}(", "module gate("), encoding="utf-8"
        )
        observer = OBSERVER.format(high=mutant.params.addr_bits - 1)
        (folder / "observer.v").write_text(observer, encoding="utf-8")
        steps = 3 * (mutant.params.pixels + 2)
        output = yosys.run(
            [
                "read_verilog gold.v gate.v observer.v",
                "hierarchy -top observer",
                "proc",
                "flatten",
                "opt -full",
                f"sat -tempinduct -maxsteps {steps} -prove bad 0 -seq 1 -set-at 1 rst 1",
            ],
            folder,
        )
    return "Induction step proven: SUCCESS!" in output


def judge(mutant: Mutant, design: Design, folder: Path) -> Verdict:
    """Simulate a mutant; if no test notices it, ask whether there is anything to notice."""
    maps = random_maps(mutant.params, 16, seed=SEED)
    try:
        run(
            design,
            "verilator",
            "cosim.body_shift_module",
            folder=folder / mutant.name,
            parameters={"block": mutant.name, "seed": SEED} | dataclasses.asdict(mutant.params),
            arrays={"maps": maps, "moved": moved(maps)},
        )
    except SimulationError as error:
        test = re.search(r": (\w+): ", str(error))
        by = test[1] if test else "crash"
        return Verdict("shift module", mutant.params.name, mutant.fault, "caught", by)
    outcome, by = ("invisible", "SAT, induction") if equivalent(mutant) else ("missed", "")
    return Verdict("shift module", mutant.params.name, mutant.fault, outcome, by)


def check(*, count: int = 40, jobs: int = 2) -> list[Verdict]:
    """Judge ``count`` mutants of each shape."""
    found = [mutant for params in SHAPES for mutant in mutants(params, count)]
    blocks = []
    for mutant in found:
        ports = emit_block(ShiftModule(params=mutant.params), mutant.name).ports
        blocks.append(Block(mutant.name, mutant.text, ports))
    design = bundle("shift_mutants", blocks)
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ProcessPoolExecutor(jobs) as pool,
    ):
        tasks = [pool.submit(judge, m, design, Path(folder)) for m in found]
        done = concurrent.futures.as_completed(tasks)
        for _ in track(done, "mutants", total=len(tasks), disable=not sys.stderr.isatty()):
            pass
        return [task.result() for task in tasks]

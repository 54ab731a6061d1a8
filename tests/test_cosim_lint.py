# SPDX-License-Identifier: Apache-2.0
"""Verilator, Icarus, Yosys and slang find nothing wrong in what is handed over.

Each with all the warnings that it has; those that are waived, and why, are in
``docs/verification.md``.
"""

import functools
import re
import subprocess
from pathlib import Path

import pytest
from intnets import masked, random_net
from pyslang.driver import Driver

from cosim import simulators
from fpga import yosys
from hw import gen
from hw.gen_accelerator import accelerator_product
from hw.product import deliver
from model.random_intnet import prune

WAIVERS = Path(__file__).parent.parent / "hw/waivers.vlt"

# What is in WAIVERS, in slang's words; a signed sum is assigned to a net without a sign.
SLANG_WAIVERS = [
    "case-default", "case-incomplete", "unused-but-set-net", "unused-port",
    "arith-op-mismatch", "sign-conversion",
]  # fmt: skip


def needed(simulator):
    reason = simulators.missing(simulator)
    if reason is not None:
        pytest.skip(reason)


def verilator(files):
    needed("verilator")
    with simulators.environment("verilator"):
        done = subprocess.run(
            ["verilator", "--lint-only", "-Wall", WAIVERS, *files],
            capture_output=True, text=True,
        )  # fmt: skip
    return done.stderr


def icarus(files):
    needed("icarus")
    done = [
        subprocess.run(
            ["iverilog", "-Wall", standard, "-t", "null", *files], capture_output=True, text=True
        ).stderr
        for standard in ("-g2005", "-g2012")
    ]
    # As the declaration of a black box drives nothing, Icarus would let the tile drive it.
    coerced = r".*/tile\.v:\d+: warning: output port codes is coerced to inout\.\n"
    return re.sub(coerced, "", "".join(done))


def yosys_check(files):
    names = [file.name for file in files]
    try:
        log = yosys.run(
            [*(f"read_verilog {name}" for name in names), "hierarchy -check -auto-top", "proc",
             "check -assert"], files[0].parent,
        )  # fmt: skip
    except yosys.YosysError as error:
        return str(error)
    return "".join(re.findall(r"Warning:.*\n", log))


def slang(files):
    driver = Driver()
    driver.addStandardArgs()
    black_box = ["undriven-port"] if any(file.name == "crossbar_macro.v" for file in files) else []
    waived = " ".join(f"-Wno-{name}" for name in SLANG_WAIVERS + black_box)
    # It prints what it finds past Python.
    assert driver.parseCommandLine(f"slang -Weverything {waived} {' '.join(map(str, files))}")
    read = driver.processOptions() and driver.parseAllSources()
    if read and driver.runFullCompilation(quiet=True):
        return ""
    return "slang finds errors"


TOOLS = {"verilator": verilator, "icarus": icarus, "yosys": yosys_check, "slang": slang}


def network(name):
    """Return a small network; pruned, some pages are absent; masked, half of the rows are gated."""
    options = {"width": 24, "array_rows": 12, "side": 8}
    if name == "dense":
        return random_net("sp", 3, **options)
    if name == "pruned":
        return prune(random_net("residual", 7, **options), 7, share=0.5, outputs=4)
    return masked(random_net("skip_over_shift", 7, **options), 4, lambda *page: page[-1] // 2)


GRID = [
    ["--fmap", "16"],
    ["--height", "2", "--width", "256", "--bits", "1"],
    ["--height", "7", "--width", "14", "--bits", "12"],
    ["--fmap", "256", "--bits", "64"],
    ["--array", "--fmap", "4", "--channels", "24"],
    ["--array", "--height", "3", "--width", "5", "--channels", "29", "--bits", "3"],
    ["--wrapper", "axis", "--fmap", "4"],
    ["--wrapper", "axis", "--height", "7", "--width", "14", "--bits", "12"],
    ["--reader"],
    ["--reader", "--height", "7", "--width", "14", "--bits", "1"],
    ["tile", "--pages", "2"],
    ["tile", "--macro", "black-box", "--crossbars", "2", "--rows", "8"],
    ["tile", "--masks", "3", "--crossbars", "2", "--rows", "9", "--pages", "3"],
    ["tile", "--act-bits", "3", "--columns", "24", "--columns-per-adc", "3", "--passes", "2"],
    ["tile", "--columns", "4", "--columns-per-adc", "1", "--pages", "1", "--tables", "1"],
    ["tile", "--wrapper", "axis", "--masks", "3", "--rows", "9", "--act-bits", "3"],
    ["accelerator", "dense", "fused"],
    ["accelerator", "dense", "in_place"],
    ["accelerator", "pruned", "fused"],
    ["accelerator", "masked", "in_place"],
]


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    """Return the Verilog files of a line of the grid; each is emitted once."""

    @functools.cache
    def emit(*options):
        folder = tmp_path_factory.mktemp("emitted") / "out"
        if options[0] == "accelerator":
            _, name, mode = options
            product = accelerator_product(network(name), columns=16, columns_per_adc=4, mode=mode)
            deliver(product, folder, as_json=False)
        else:
            assert gen.main([*options, "--out", str(folder)]) == 0
        return sorted(folder.glob("*.v"))

    return emit


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("options", GRID, ids=" ".join)
def test_no_warning(emitted, tool, options, capfd):
    files = emitted(*options)
    capfd.readouterr()
    assert TOOLS[tool](files) == ""
    assert capfd.readouterr() == ("", "")


FAULTS = {
    "width": (
        "module sub(input [7:0] a, output [7:0] y);\n  assign y = a;\nendmodule\n"
        "module top(input [3:0] a, output [7:0] y);\n  sub one(.a(a), .y(y));\nendmodule\n"
    ),
    "undeclared": (
        "module top(input [3:0] a, output [3:0] y);\n  assign y = a & missing;\nendmodule\n"
    ),
    "latch": (
        "module top(input a, input b, output reg q);\n  always @* if (a) q = b;\nendmodule\n"
    ),
}
NOTICED = {
    ("verilator", "width"): "%Warning-WIDTHEXPAND",
    ("icarus", "width"): "expects 8 bits, got 4",
    ("yosys", "width"): "Resizing cell port top.one.a from 4 bits to 8 bits",
    ("slang", "width"): "port-width-expand",
    ("verilator", "undeclared"): "Can't find definition of variable: 'missing'",
    ("icarus", "undeclared"): "Unable to bind wire/reg/memory `missing'",
    ("yosys", "undeclared"): "ERROR: Found 1 problems in 'check -assert'",
    ("slang", "undeclared"): "use of undeclared identifier 'missing'",
    ("verilator", "latch"): "%Warning-LATCH",
    ("yosys", "latch"): "Latch inferred for signal",
}


@pytest.mark.parametrize(("tool", "fault"), NOTICED)
def test_a_fault_is_noticed(tool, fault, tmp_path, capfd):
    file = tmp_path / f"{fault}.v"
    file.write_text(FAULTS[fault], encoding="utf-8")
    assert NOTICED[tool, fault] in TOOLS[tool]([file]) + capfd.readouterr().err

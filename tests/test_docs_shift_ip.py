# SPDX-License-Identifier: Apache-2.0
"""The examples of the page about the shift IP do what it says, as they are printed there."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cosim import simulators
from hw import gen, timing
from hw.params import Direction, ShiftParams
from model import golden

PAGE = (Path(__file__).parent.parent / "docs/shift-ip.md").read_text()
EXAMPLES = {
    re.match(r"module (\w+)", text)[1]: text
    for text in re.findall(r"^```verilog\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
}
PARAMS = ShiftParams(height=16, width=16)

MODULE_BENCH = """
module bench;
  reg clk = 0, rst = 1, start = 0, host_we = 0;
  reg [3:0] channel = 0;
  reg [2:0] direction = 0;
  reg [11:0] host_addr = 0;
  reg [7:0] host_wdata = 0, memory [0:4095];
  reg [6:0] jobs [0:23];
  wire ready, done, busy;
  wire [7:0] host_rdata;
  integer n, cycle = 0, first;
  shift_example dut(clk, rst, start, channel, direction, ready, done, busy,
                    host_we, host_addr, host_wdata, host_rdata);
  always #5 clk = !clk;
  always @(posedge clk) cycle <= cycle + 1;
  initial begin
    $readmemh("before.hex", memory);
    $readmemh("jobs.hex", jobs);
    @(negedge clk) rst = 0;
    host_we = 1;
    for (n = 0; n < 4096; n = n + 1) begin
      host_addr = n; host_wdata = memory[n];
      @(negedge clk);
    end
    host_we = 0;
    start = 1;
    for (n = 0; n < 24; n = n + 1) begin
      {channel, direction} = jobs[n];
      while (!ready) @(negedge clk);
      if (n == 0) first = cycle;
      @(negedge clk);
    end
    start = 0;
    while (!done) @(negedge clk);
    $display("%0d", cycle - first + 1);
    @(negedge clk);
    for (n = 0; n < 4096; n = n + 1) begin
      host_addr = n;
      @(negedge clk) memory[n] = host_rdata;
    end
    $writememh("after.hex", memory);
    $finish;
  end
endmodule
"""

READER_BENCH = """
module bench;
  reg clk = 0, we = 0;
  reg [3:0] direction, row, column;
  reg [7:0] waddr, wdata, memory [0:255], read [0:2303];
  wire [7:0] pixel;
  integer n;
  reader_example dut(clk, direction, row, column, pixel, we, waddr, wdata);
  always #5 clk = !clk;
  initial begin
    $readmemh("before.hex", memory);
    @(negedge clk) we = 1;
    for (n = 0; n < 256; n = n + 1) begin
      waddr = n; wdata = memory[n];
      @(negedge clk);
    end
    we = 0;
    for (n = 0; n < 2304; n = n + 1) begin
      {direction, row, column} = n;
      @(negedge clk) read[n] = pixel;
    end
    $writememh("after.hex", read);
    $finish;
  end
endmodule
"""


def write(folder, name, values):
    (folder / name).write_text("".join(f"{value:x}\n" for value in np.ravel(values)))


def read(folder):
    text = re.sub(r"//.*", "", (folder / "after.hex").read_text())
    return np.array([int(word, 16) for word in text.split()])


def simulate(folder, example, bench, *options):
    """Generate the block, and run the example's text with a testbench; return what it prints."""
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    assert gen.main(["--fmap", "16", *options, "--out", str(folder / "ip")]) == 0
    (folder / "bench.v").write_text(example + bench)
    files = ["bench.v", *(str(file) for file in (folder / "ip").glob("*.v"))]
    subprocess.run(["iverilog", "-g2012", "-Wall", "-o", "bench", *files], cwd=folder, check=True)
    done = subprocess.run(["vvp", "-n", "bench"], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().split()


def maps(count):
    return np.random.default_rng(1).integers(0, 256, (count, 16, 16))


def module_run(folder, example):
    """Shift 24 times back to back, each channel in every direction; return cycles and errors."""
    before = maps(16)
    jobs = [(n * 5 % 16, Direction(n % 8)) for n in range(24)]
    write(folder, "before.hex", before)
    write(folder, "jobs.hex", [channel << 3 | way for channel, way in jobs])
    (cycles,) = simulate(folder, example, MODULE_BENCH)
    for channel, way in jobs:
        before[channel] = golden.shift_channel(before[channel], way)
    return int(cycles), np.count_nonzero(read(folder).reshape(before.shape) != before)


def test_the_module_in_the_example_shifts(tmp_path):
    cycles, wrong = module_run(tmp_path, EXAMPLES["shift_example"])
    assert wrong == 0
    assert cycles == timing.shift_cycles(PARAMS, channels=24)


@pytest.mark.parametrize(
    ("right", "fault"),
    [
        ("rdata <= ram[at];", "rdata <= busy ? wdata : ram[at];"),  # write first
        ("if (start && ready) base", "if (done) base"),
    ],
)
def test_another_memory_or_base_is_noticed(tmp_path, right, fault):
    assert EXAMPLES["shift_example"].count(right) == 1
    _, wrong = module_run(tmp_path, EXAMPLES["shift_example"].replace(right, fault))
    assert wrong > 0


def test_the_reader_in_the_example_reads_all_directions(tmp_path):
    (before,) = maps(1)
    write(tmp_path, "before.hex", before)
    simulate(tmp_path, EXAMPLES["reader_example"], READER_BENCH, "--reader")
    found = read(tmp_path).reshape(9, 16, 16)
    for direction in Direction.moving():
        assert (found[direction] == golden.shift_channel(before, direction)).all()
    assert (found[Direction.STAY] == before).all()


@pytest.mark.parametrize(
    ("name", "options"), [("shift_example", []), ("reader_example", ["--reader"])]
)
def test_verilator_has_no_warning(tmp_path, name, options):
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    assert gen.main(["--fmap", "16", *options, "--out", str(tmp_path / "ip")]) == 0
    # What we generate is linted elsewhere.
    (block,) = (tmp_path / "ip").glob("*.v")
    (tmp_path / "waivers.vlt").write_text(f'`verilator_config\nlint_off -file "*{block.name}"\n')

    def lint(text):
        (tmp_path / f"{name}.v").write_text(text)
        with simulators.environment("verilator"):
            return subprocess.run(
                ["verilator", "--lint-only", "-Wall", "--top", name, "waivers.vlt", f"{name}.v",
                 block], cwd=tmp_path, capture_output=True, text=True,
            )  # fmt: skip

    done = lint(EXAMPLES[name])
    assert (done.returncode, done.stderr) == (0, "")
    assert "%Warning-WIDTH" in lint(EXAMPLES[name].replace("[7:0]", "[6:0]")).stderr

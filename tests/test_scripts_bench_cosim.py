# SPDX-License-Identifier: Apache-2.0
"""The benchmark of simulations times the same work in both, and notices when it is not."""

import functools
import json

import pytest
from intnets import random_net

from cosim import simulators
from hw import image, timing
from model import intnet
from scripts import bench_cosim

NET = random_net("residual", 7, width=12, depth=1, side=32, array_rows=16, act_bits=2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    build = functools.partial(image.build, columns=16, columns_per_adc=4)
    monkeypatch.setattr(bench_cosim, "build", build)
    compiled = bench_cosim.fast.build
    monkeypatch.setattr(
        bench_cosim.fast, "build", lambda block, **_: compiled(block, optimise="-O0")
    )
    intnet.write(tmp_path / "net", NET)
    return str(tmp_path / "net")


@pytest.mark.slow  # two builds, and two rounds of both
def test_both_run_the_same_layer(folder, capsys):
    assert bench_cosim.main([folder, "--rounds", "2", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    params = bench_cosim.build(NET).params
    assert (found["net"], found["layer"], found["rounds"]) == ("psp_12_1", "stem", 2)
    assert found["cycles"] == timing.layer_cycles(params, params.layers[0])
    assert list(found["arms"]) == ["cocotb", "compiled model"]
    assert found["arms"]["cocotb"]["times_as_fast"] == [1, 1, 1]
    assert found["arms"]["compiled model"]["times_as_fast"][0] > 2
    assert captured.err.splitlines() == [f"round {number} of 2" for number in (1, 2)]


def arm(cycles, seconds, **counters):
    return lambda: bench_cosim.Run(cycles, seconds, counters)


def test_ratios_are_within_a_round(capsys):
    arms = {"cocotb": arm(100, 2.0, writes=1), "compiled model": arm(100, 0.01, writes=1)}
    speeds = bench_cosim.measure(arms, 100, 2)
    assert speeds == {"cocotb": [50, 50], "compiled model": [10_000, 10_000]}
    speeds["cocotb"][1] = 100
    result = bench_cosim.summarise(speeds)
    assert result["cocotb"]["cycles_per_s"] == [62.5, 75, 87.5]
    assert result["compiled model"]["times_as_fast"] == [125, 150, 175]
    bench_cosim.print_table(result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["median", "(quartiles)", "cycles/s", "times", "as", "fast"]
    assert lines[2].split() == [
        "compiled",
        "model",
        "10,000",
        "(10,000…10,000)",
        *lines[2].split()[4:],
    ]
    assert lines[2].endswith("150.0 (125.0…175.0)")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (arm(99, 1.0, writes=1), "compiled model must take 100 cycles, not 99"),
        (
            arm(100, 1.0, writes=2),
            "counters of compiled model must be {'writes': 1} as of cocotb, not {'writes': 2}",
        ),
    ],
)
def test_other_work_is_noticed(other, message):
    with pytest.raises(bench_cosim.DifferenceError) as caught:
        bench_cosim.measure({"cocotb": arm(100, 1.0, writes=1), "compiled model": other}, 100, 2)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{net}/none"],
         "{net}/none/intnet.json must be a readable file: No such file or directory"),
        (["{net}", "--rounds", "1"],
         "argument --rounds: rounds must be an integer from 2 to 1000, not 1 (see --help)"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(folder, arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        bench_cosim.main([argument.format(net=folder) for argument in arguments])
    wanted = f"{bench_cosim.PROGRAM}: error: {message.format(net=folder)}\n"
    assert capsys.readouterr().err == wanted

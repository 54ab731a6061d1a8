# SPDX-License-Identifier: Apache-2.0
"""The command that runs a network in RTL: options, reports, waveforms, what it says of a fault."""

import dataclasses
import json
import re

import pytest
from intnets import images, random_net
from quick_models import compile_quickly

from cosim import fast, run, simulators
from cosim.activity import activity
from hw import timing
from hw.accesses import accelerator_accesses, paper_accesses
from hw.image import build
from model import agreement, intnet
from model.agreement import MismatchError
from model.images import zoo_images

NET = random_net("residual", 7, width=12, depth=1, side=32, array_rows=16)
SIZES = ["--columns", "16", "--columns-per-adc", "4"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    compile_quickly(monkeypatch)


@pytest.fixture
def folder(tmp_path):
    intnet.write(tmp_path / "net", NET)
    return tmp_path / "net"


def params(mode):
    return build(NET, columns=16, columns_per_adc=4, mode=mode).params


def test_both_modes_side_by_side(folder, capsys):
    arguments = ["--intnet", str(folder), "--shift", "both", *SIZES]
    assert run.main([*arguments, "--layers", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["modes"]) == ["fused", "in_place"]
    for mode, facts in found["modes"].items():
        assert facts["cycles"] == timing.accelerator_cycles(params(mode))
        assert facts["bound"] == sum(layer["bound"] for layer in facts["layers"])
        both = sum(layer["cycles"] + layer["shift_cycles"] for layer in facts["layers"])
        assert facts["cycles"] == both
        assert facts["compared"] == sum(layer["compared"] for layer in facts["layers"])
        assert (facts["pages"], facts["absent_pages"]) == (params(mode).tile.pages, 0)
        assert facts["map_writes"] == accelerator_accesses(params(mode)).writes
        counts = activity(NET, params(mode), zoo_images()[0][0])
        assert {name: facts[name] for name in counts} == counts
    assert run.main([*arguments, "--layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folder}: psp_12_1, 1 image in RTL, all as in the golden executor"
    assert lines[1] == f"sha256 of intnet.json: {intnet.digest(NET)}"
    assert lines[2].split() == ["an", "image", "fused", "in_place"]
    assert [line.split()[0] for line in lines[18:]] == [each.name for each in NET.layers] * 2


def test_a_waveform_is_bounded_and_of_the_layer(folder, tmp_path, capsys):
    name = params("fused").layers[1].name
    file = tmp_path / "wave.vcd"
    run.write_waves(build(NET, columns=16, columns_per_adc=4), zoo_images()[0][0], name, file)
    text = file.read_text()
    assert text.count("\n#") == 2 * run.WAVE_CYCLES + 2  # both edges; that of the start as well
    assert [each.name for each in tmp_path.iterdir() if "wave" in each.name] == ["wave.vcd"]
    options = ["--vcd", str(file), "--vcd-layer", "none", *SIZES]
    with pytest.raises(SystemExit, match="2"):
        run.main(["--intnet", str(folder), *options])
    names = ", ".join(each.name for each in params("fused").layers)
    wanted = f"{run.PROGRAM}: error: the layer must be one of {names}, not none\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--vcd-layer", "stem"], "--vcd-layer must come with --vcd"),
        (["--counters", "x", "--shift", "both"], "--counters must come with one --shift, not both"),
        (["--counters", "deep/../x", "--vcd", "x"],
         "--counters and --vcd must be two files, not both x"),
        (["--counters", "net"], "net must be writable: Is a directory"),
        (["--vcd", "net/intnet.json/x"], "net/intnet.json/x must be writable: Not a directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_before_the_build(
    folder, tmp_path, monkeypatch, capsys, options, told
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "build", pytest.fail)
    with pytest.raises(SystemExit, match="^2$"):
        run.main(["--intnet", str(folder), *options])
    assert capsys.readouterr().err == f"{run.PROGRAM}: error: {told}\n"
    assert [each.name for each in tmp_path.iterdir()] == ["net"]


def test_a_disk_that_is_full_while_building_is_not_the_waveforms_fault(folder, monkeypatch):
    full = OSError(28, "No space left on device", "build/x.cpp")
    monkeypatch.setattr(fast, "build", lambda *_, **__: (_ for _ in ()).throw(full))
    with pytest.raises(OSError, match="build/x.cpp") as caught:
        run.main(["--intnet", str(folder), *SIZES])
    assert caught.value is full


def test_a_mismatch_names_place_values_and_cycles():
    image = build(NET, columns=16, columns_per_adc=4, mode="in_place")
    channels = image.channels.copy()
    channels.view("u1").reshape(-1)[2] ^= 1  # the third byte of the first bias
    library = fast.build(fast.accelerator_block(image.params))
    stem = timing.layer_cycles(image.params, image.params.layers[0])
    with fast.Model(library, dataclasses.replace(image, channels=channels)) as model:
        executor = run.rtl(NET, image, model)
        assert executor.cycles["pool"] == executor.cycles[image.params.layers[-2].name]
        assert executor.cycles["head"][-1] + 1 == timing.accelerator_cycles(image.params)
        with pytest.raises(MismatchError) as caught:
            agreement.agree(NET, images(NET, 2), [executor])
    assert re.fullmatch(
        r"stem: out of image 0, channel 0, row \d+, column \d+ must be -?\d+ as in the golden "
        rf"executor, not -?\d+ as in RTL, written in cycles 0 to {stem - 1}",
        str(caught.value),
    )


def test_accesses_of_both_modes_and_of_the_paper():
    fused, in_place = (accelerator_accesses(params(mode)) for mode in ("fused", "in_place"))
    paper = paper_accesses(params("in_place"))
    moved = 8 * params("fused").shift.pixels
    assert fused.shift_cycles == 0
    assert in_place.shift_cycles == moved + 2
    assert (in_place.reads - fused.reads, in_place.writes - fused.writes) == (moved, moved)
    assert (paper.shift_cycles, paper.reads, paper.writes) == (
        moved, in_place.reads, in_place.writes,
    )  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""A whole test set in RTL: what is compared, what a killed run leaves, what is refused."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from intnets import images, random_net

from cosim import all_images, fast, simulators
from hw import timing
from hw.image import build
from hw.params import ParameterError
from model import executor, intnet
from model.agreement import MismatchError

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "docs" / "results" / "all_images.json"
NET = random_net("sp", 3, width=14, depth=1, array_rows=16, stream_bits=10, classes=3)
IMAGE = build(NET, columns=16, columns_per_adc=4)
BLOCK = fast.accelerator_block(IMAGE.params)
PIXELS = images(NET, 7)
LOGITS = executor.run(NET, PIXELS)
LABELS = LOGITS.argmax(1)


@pytest.fixture(autouse=True)
def chunks_of_two(monkeypatch):
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    monkeypatch.setattr(all_images, "CHUNK", 2)


def run(file, block=BLOCK, **options):
    return all_images.run(NET, IMAGE, block, PIXELS, LABELS, file, optimise="-O0", **options)


def test_all_images_are_compared_and_recorded(tmp_path):
    file, done = tmp_path / "new" / "record.json", []
    record = run(file, advance=done.append)
    assert sum(done) == 7
    assert record.correct == {"0": 2, "2": 2, "4": 2, "6": 1}
    assert record.logits == {
        str(first): hashlib.sha256(LOGITS[first : first + 2].astype("<i4").tobytes()).hexdigest()
        for first in (0, 2, 4, 6)
    }
    cycles = timing.accelerator_cycles(IMAGE.params)
    assert record.summary() == {
        "network": NET.name, "digest": intnet.digest(NET), "images": 7,
        "logits": 7 * LOGITS.shape[1], "mismatches": 0, "cycles": 7 * cycles,
        "correct": 7, "accuracy": 100.0,
    }  # fmt: skip


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    whole, cut = tmp_path / "whole.json", tmp_path / "cut.json"
    run(whole, jobs=2)
    found = json.loads(whole.read_text())
    for chunks in (found["logits"], found["correct"]):
        del chunks["2"], chunks["6"]
    cut.write_text(json.dumps(found))
    done = []
    run(cut, advance=done.append)
    assert done == [4, 2, 1]
    assert cut.read_bytes() == whole.read_bytes()


def test_what_is_done_is_not_run_again(tmp_path, monkeypatch):
    run(tmp_path / "record.json")
    monkeypatch.setattr(fast, "build", None)
    assert run(tmp_path / "record.json").summary()["images"] == 7


def test_a_seeded_fault_is_noticed_and_named(tmp_path):
    fault = BLOCK.with_fault("image_before_stays_in_the_pool", "place_2[2] ? ", "1'h0 ? ")
    wanted = re.escape(str(LOGITS[1].tolist()))
    with pytest.raises(MismatchError, match=rf"^image 1: logits must be {wanted} as in the golden"):
        run(tmp_path / "record.json", fault)
    assert not (tmp_path / "record.json").exists()


def test_another_number_of_cycles_is_noticed(tmp_path, monkeypatch):
    cycles = timing.accelerator_cycles(IMAGE.params)
    monkeypatch.setattr(timing, "accelerator_cycles", lambda _: cycles + 1)
    message = f"image 0: cycles must be {cycles + 1} as in hw.timing, not {cycles} in RTL"
    with pytest.raises(MismatchError, match=message):
        run(tmp_path / "record.json")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"run": 1}', '{"run": {}, "logits": {"0": 1}, "correct": {"0": 1}}']
)
def test_a_foreign_file_is_refused_and_kept(text, tmp_path):
    file = tmp_path / "record.json"
    file.write_text(text)
    with pytest.raises(ParameterError) as caught:
        run(file)
    assert str(caught.value) == f"--out must be new or a file of this command, not {file}"
    assert file.read_text() == text


def test_another_run_is_refused_and_its_file_kept(tmp_path):
    file = tmp_path / "record.json"
    run(file)
    before = file.read_bytes()
    with pytest.raises(ParameterError) as caught:
        all_images.run(NET, IMAGE, BLOCK, PIXELS[:3], LABELS[:3], file)
    assert str(caught.value).startswith(f"--out must be new or of the same run, not {file}: pixels")
    assert file.read_bytes() == before


def test_a_file_of_other_chunks_is_refused(tmp_path, monkeypatch):
    run(tmp_path / "record.json")
    monkeypatch.setattr(all_images, "CHUNK", 4)
    with pytest.raises(ParameterError, match="chunk there is 2, here 4$"):
        run(tmp_path / "record.json")


def test_models_are_closed_also_after_a_difference(tmp_path, monkeypatch):
    closed, truly = [], fast.Model.close
    monkeypatch.setattr(fast.Model, "close", lambda model: closed.append(truly(model)))
    monkeypatch.setattr(fast.Model, "logits", lambda _: LOGITS[0] + 1)
    with pytest.raises(MismatchError):
        run(tmp_path / "record.json")
    assert closed


def test_a_place_that_cannot_be_written_is_told_before_the_network_is_read(tmp_path, capsys):
    (tmp_path / "file").touch()
    place = tmp_path / "file/record.json"
    with pytest.raises(SystemExit, match="^2$"):
        all_images.main(["--intnet", str(tmp_path / "none"), "--out", str(place)])
    assert f"{place} must be writable: Not a directory" in capsys.readouterr().err


def test_the_stored_record_is_of_todays_network_and_rtl():
    record = json.loads(RECORD.read_text())
    net = intnet.read(ROOT / "model" / "zoo" / "psp_64_4_int8")
    params = build(net).params
    text = fast.accelerator_block(params).text
    assert record["run"]["digest"] == intnet.digest(net)
    assert record["run"]["verilog"] == hashlib.sha256(text.encode()).hexdigest()
    assert record["run"]["cycles_an_image"] == timing.accelerator_cycles(params)
    assert record["run"]["images"] == 10_000
    assert sorted(map(int, record["logits"])) == list(range(0, 10_000, 50))
    assert sum(record["correct"].values()) == 8822

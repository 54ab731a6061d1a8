# SPDX-License-Identifier: Apache-2.0
"""One page of all that is known: its figures, what it says is missing, and when there is none."""

import base64
import dataclasses
import hashlib
import json
import re
from io import BytesIO

import numpy as np
import pytest
from intnets import random_net
from pages import Page
from PIL import Image
from quick_models import compile_quickly

from cosim import simulators
from hw import timing
from hw.image import build
from model import agreement, executor, fast_executor, intnet
from model.agreement import MismatchError
from model.images import zoo_images
from scripts import report, report_facts, report_page, report_pictures, report_stored

NET = random_net("residual", 7, width=12, depth=1, side=32, array_rows=16)
ZOO = report_facts.folder_of("psp_64_4_int8")
NAMES = ", ".join(sorted(file.parent.name for file in ZOO.parent.glob("*/intnet.json")))
NETWORKS = f"one of the zoo (psp_64_4, {NAMES}) or a folder with an intnet.json"
IMAGES = "images must be an integer from 1 to 48"


@pytest.fixture(scope="module")
def quick():
    """Without the compiler's effort."""
    if reason := simulators.missing("verilator"):
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        compile_quickly(patch)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets") / "<i>small"
    intnet.write(folder, NET)
    return folder


def run(folder, out, *options):
    return report.main([str(folder), "--out", str(out), "--data", "none", *options])


@pytest.fixture(scope="module")
def made(quick, folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "report.html"
    assert run(folder, out) == 0
    return out


def test_figures_are_those_of_the_network(made):
    facts = json.loads(made.with_suffix(".json").read_text())
    params = build(NET).params
    assert facts["network"]["digest"] == intnet.digest(NET)
    assert facts["timing"]["cycles"] == facts["rtl"]["cycles"] == timing.accelerator_cycles(params)
    assert (facts["rtl"]["images"], facts["rtl"]["mismatches"]) == (2, 0)
    assert facts["rtl"]["compared"] == sum(each["compared"] for each in facts["rtl"]["layers"])
    assert set(facts["executors"]["compared"]) == {"model.fast_executor", "ONNX Runtime"}
    images, labels = zoo_images()
    logits = fast_executor.run(NET, images)
    assert facts["accuracy"]["correct"] == int((logits.argmax(1) == labels).sum())
    assert [each["logits"] for each in facts["pictures"]] == logits[:8].tolist()
    assert not any("second" in name or name.endswith("per_s") for name in facts["rtl"])
    rows = {row[0]: row[1:] for row in Page(made.read_text()).rows if row}
    assert rows["RTL, Verilator"][1:] == ["2", f"{facts['rtl']['compared']:,}", "0"]
    # Activity of the cost is what the RTL has counted.
    assert "activations of 2 real images, as counted in RTL" in made.read_text()


def test_what_is_missing_is_said(made):
    text = made.read_text()
    for line in (
        "All test images: not measured. none/cifar10.safetensors",
        "PyTorch: not compared; no checkpoint for integers lies beside the network",
        "All test images in RTL: no record of this network is stored",
        "Frequency: no bitstream of this network is stored",
        "Not measured for this network: --size synthesises it",
    ):
        assert f'<p class="absent-figure">{line}' in text


def test_the_page_is_whole_and_loads_nothing(made):
    text = made.read_text()
    found = Page(text)
    pictures = re.findall(r'src="([^"]*)"', text)
    assert len(pictures) == 1 + 8 + 2 * 8
    assert all(each.startswith("data:image/png;base64,") for each in pictures)
    bare = re.sub(r'src="data:[^"]*"', "", text)
    assert not re.search(r"(?i)https?:|//|url\(|@import|<script|<link|src=|xlink", bare)
    style = text[text.index("<style>") : text.index("</style>")]
    classes = {each for value in found.classes for each in value.split()}
    assert classes - {"inside"} <= set(re.findall(r"\.([a-z-]+)", style)) | {"layer", "channel"}
    assert "<i>small" not in text
    assert "&lt;i&gt;small" in text


def test_the_same_network_gives_the_same_bytes(quick, made, folder, tmp_path):
    assert run(folder, tmp_path / "again.html") == 0
    assert (tmp_path / "again.html").read_bytes() == made.read_bytes()
    names = "again.json", "report.json"
    again, first = (p.read_bytes() for p in (tmp_path / names[0], made.with_name(names[1])))
    assert again == first


def one_bias_off(net, **options):
    """Return an accelerator whose first bias is another."""
    image = build(net, **options)
    channels = image.channels.copy()
    channels.view("u1").reshape(-1)[2] ^= 1
    return dataclasses.replace(image, channels=channels)


def test_a_mismatch_in_rtl_leaves_no_page(quick, folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "report.html"
    for file in (out, out.with_suffix(".json")):
        file.write_text("0 mismatches")  # an earlier one's
    monkeypatch.setattr(report_facts, "build", one_bias_off)
    assert run(folder, out) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(
        rf"{report.PROGRAM}: error: stem: out of image 0, channel 0, row \d+, column \d+ must be "
        r"-?\d+ as in the golden executor, not -?\d+ as in RTL, written in cycles 0 to \d+\n",
        told.err,
    )
    assert list(tmp_path.iterdir()) == []


def test_a_mismatch_of_an_executor_leaves_no_page(folder, tmp_path, monkeypatch, capsys):
    sound = agreement.fast

    def off_by_one(net):
        def trace(images):
            found = sound(net).trace(images)
            found["head"]["out"][-1, -1] += 1
            return found

        return dataclasses.replace(sound(net), trace=trace)

    monkeypatch.setattr(agreement, "fast", off_by_one)
    assert run(folder, tmp_path / "report.html") == 1
    assert "head: out of image 7, channel 9" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], f"a network must be {NETWORKS}, not 'none'"),
        (["{small}"], "the network must put images of 3×32×32 into 10 classes, not 3×8×8 into 10"),
        (["{small}", "--out", "report.pdf"], "--out must end in .html, not be 'report.pdf'"),
        (["{small}", "--out", "net/intnet.json/a.html"],
         "net/intnet.json/a.html must be writable: Not a directory"),
        (["{small}", "--images", "49"], f"argument --images: {IMAGES}, not 49 (see --help)"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    intnet.write(tmp_path / "net", random_net("residual", 1, width=12, depth=1, side=8))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="^2$"):
        report.main([each.format(small=tmp_path / "net") for each in arguments])
    assert capsys.readouterr() == ("", f"{report.PROGRAM}: error: {message}\n")
    assert [file.name for file in tmp_path.iterdir()] == ["net"]


def test_a_network_that_the_accelerator_does_not_run(tmp_path):
    intnet.write(tmp_path / "net", random_net("resnet", 1, width=4, side=32))
    found = report_facts.gather(
        str(tmp_path / "net"), images=1, data=tmp_path, measure_size=False
    )  # fmt: skip
    assert found.image is found.facts["timing"] is None
    text = report_page.page(found)
    Page(text)
    assert f"RTL: not run; {found.facts['rtl']['reason']}" in text
    assert "The accelerator does not run this network" in text
    assert "No layer of this network reads a shifted map" in text


def record(net, logits, labels):
    """Return what `cosim.all_images` stores, in chunks of 20."""
    chunks = {first: slice(first, first + 20) for first in range(0, len(logits), 20)}
    return {
        "run": {"digest": intnet.digest(net), "images": len(logits), "classes": 10,
                "cycles_an_image": 100},
        "logits": {str(first): hashlib.sha256(logits[part].astype("<i4").tobytes()).hexdigest()
                   for first, part in chunks.items()},
        "correct": {str(first): int((logits[part].argmax(1) == labels[part]).sum())
                    for first, part in chunks.items()},
    }  # fmt: skip


def test_the_record_of_all_images_is_the_networks_and_is_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(report_stored, "RESULTS", tmp_path)
    assert report_stored.all_images(NET, None) is None
    images, labels = zoo_images()
    logits = executor.run(NET, images)
    (tmp_path / "all_images.json").write_text(json.dumps(record(NET, logits, labels)))
    found = report_stored.all_images(NET, logits)
    assert found == {
        "images": 48, "logits": 480, "cycles": 4800,
        "correct": int((logits.argmax(1) == labels).sum()), "compared_now": True,
    }  # fmt: skip
    assert report_stored.all_images(NET, None) == found | {"compared_now": False}
    assert report_stored.all_images(random_net("residual", 8, side=32), logits) is None
    off = logits.copy()
    off[45, 3] += 1
    rule = "^images 40 to 47: logits must be those that all_images.json has of RTL, not others$"
    with pytest.raises(MismatchError, match=rule):
        report_stored.all_images(NET, off)


def test_stored_figures_are_of_this_network_only():
    zoo = intnet.read(ZOO)
    boards = report_stored.boards(zoo)
    assert [each["board"] for each in boards] == ["arty_a7_35t", "ac701"]
    assert {each["cycles_an_image"] for each in boards} == {
        timing.accelerator_cycles(build(zoo).params)
    }
    assert set(report_stored.size(ZOO, zoo, measure=False)["modes"]) == {"fused", "in_place"}
    assert report_stored.boards(NET) == []
    assert report_stored.size(ZOO, NET, measure=False) is None


def test_trust_is_what_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(report_stored, "RESULTS", tmp_path)
    figure = {"what": "faults in `a.py`", "shown": "3 of 4 <b>", "command": "scripts.x --update"}
    stored = {"format": 1, "figures": [figure | {"file": "x.json", "values": {}}]}
    (tmp_path / "trust.json").write_text(json.dumps(stored))
    assert report_stored.trust() == [figure]
    shown = Page(report_page._trust([figure])).rows[1]
    assert shown == ["faults in a.py", "3 of 4 <b>", "python -m scripts.x"]


def test_an_accuracy_that_is_not_the_cards(tmp_path, monkeypatch):
    net = intnet.read(ZOO)
    assert report_facts._card(ZOO, net) == "88.22"
    assert report_facts._card(ZOO, NET) is None
    images, labels = zoo_images()

    class Dataset:
        test_images, test_labels = (
            type("Tensor", (), {"numpy": lambda self, of=of: of})() for of in (images, labels)
        )

    monkeypatch.setattr(report_facts, "load", lambda name, data: Dataset)
    with pytest.raises(MismatchError, match=r"^accuracy must be 88\.22 % as on the network's card"):
        report_facts._accuracy(net, ZOO, tmp_path)


def test_pictures_hold_their_pixels():
    source = np.random.default_rng(3)
    for shape in ((32, 32, 3), (16, 16), (3, 5)):
        pixels = source.integers(0, 256, shape, dtype=np.uint8)
        head, data = report_pictures.png(pixels).split(",")
        assert head == "data:image/png;base64"
        with Image.open(BytesIO(base64.b64decode(data))) as shown:
            assert np.array_equal(np.asarray(shown), pixels)


@pytest.mark.parametrize("name", ["psp_64_4_int8", "psp_64_4_int4"])
def test_crossbars_are_filled_as_far_as_cells_are_used(name):
    net = intnet.read(ZOO.with_name(name))
    drawn = report_pictures.data_path(net, build(net), zoo_images()[0][0])
    side, used = 20.0, re.findall(r'width="([^"]*)" height="([^"]*)" class="used"', drawn)
    cells = sum(float(width) * float(height) for width, height in used) / side**2 * 64 * 64
    layers = [layer for layer in net.layers if isinstance(layer, intnet.Crossbar)]
    assert cells == pytest.approx(sum(each.weights.size * each.weight_bits / 2 for each in layers))


def test_the_curve_has_a_point_an_epoch_of_each_run():
    zoo = report_facts._curve(ZOO.with_name("psp_64_4_int8.safetensors"))
    assert [(run["run"], len(run["accuracy"])) for run in zoo] == [
        ("psp_64_4", 80), ("psp_64_4_int8", 6),
    ]  # fmt: skip
    drawn = re.findall(r'class="curve[^"]*" d="([^"]*)"', report_pictures.curve(zoo))
    assert [1 + path.count("L") for path in drawn] == [80, 6]
    assert "88.22 %" in report_pictures.curve(zoo)
    assert report_pictures.curve([]) == ""


@pytest.mark.parametrize(
    ("card", "reason", "first"),
    [
        ("88.22", "no data set", "<b>88.22 %</b>"),
        (None, "no data set", "<b>95.83 %</b>"),
        ("95.83", None, "<b>95.83 %</b>"),
    ],
)
def test_a_few_images_do_not_lead_where_a_card_tells_of_all(made, card, reason, first):
    accuracy = {"correct": 46, "images": 48, "card": card, "reason": reason, "dataset": "cifar10"}
    facts = json.loads(made.with_suffix(".json").read_text()) | {"accuracy": accuracy}
    keys = report_page._keys(facts, "date2024_22nm, ADCs of 32 levels")
    assert first in keys.partition("<span>")[0]
    assert "test images of CIFAR-10" in keys
    assert keys.count("date2024_22nm, ADCs of 32 levels") == 3

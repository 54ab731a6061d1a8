# SPDX-License-Identifier: Apache-2.0
"""Compression as a command: resumed equals uninterrupted, and the report is what was written."""

import dataclasses
import json
import math
import shutil
from unittest import mock

import pytest
import torch
from interrupts import stopped_at

from model import checkpoint, compress, executor, intnet, train
from model.compress_report import absent_pages
from model.compress_settings import Compress
from model.data import synthetic
from model.evaluate import load_network
from model.export import export
from model.prune import AlignedPruning
from model.recipe import Recipe
from model.shrink import shrink

RECIPE = Recipe(model="psp_32_1", dataset="synthetic", epochs=1, batch_size=64)
OPTIONS = ["--method", "aligned", "--sparsity", "0.5", "--epochs", "2"]


@pytest.fixture(scope="module", autouse=True)
def small():
    """Eight steps an epoch, of few images."""
    data = synthetic(train=512, test=128, image_size=16)
    with mock.patch.object(compress, "load", return_value=data):
        yield data


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("float")
    train.train(RECIPE, small, out)
    return out / train.FINAL


@pytest.fixture(scope="module")
def whole(trained, tmp_path_factory):
    """A run from beginning to end."""
    out = tmp_path_factory.mktemp("whole")
    assert compress.main([str(trained), "--out", str(out), *OPTIONS]) == 0
    return out


def test_the_report_is_what_was_exported(whole, capsys):
    report = json.loads((whole / compress.REPORT).read_text())
    network, _, _ = load_network(whole / train.FINAL)
    net = export(network, "net")
    layers = [layer for layer in net.layers if isinstance(layer, intnet.Crossbar)]
    absent = {each.name: int(absent_pages(each, rows=64, outputs=16).sum()) for each in layers}
    assert {each["name"]: each["absent"] for each in report["layers"]} == absent
    assert sum(absent.values()) == report["total"]["absent"] == 2
    assert report["sparsity"] == {"asked": 0.5, "reached": 0.5}
    assert report["accuracy"].keys() == {"before", "after"}
    assert report["energy_pj"]["before"] is None  # of floats


def test_resumed_equals_uninterrupted(trained, whole, tmp_path, capsys):
    line = [str(trained), "--out", str(tmp_path), *OPTIONS]
    for epoch, resume in ((0, []), (1, ["--resume"])):
        with stopped_at(epoch):
            assert compress.main([*line, *resume]) == 130
    assert compress.main([*line, "--resume"]) == 0
    for name in (train.FINAL, compress.REPORT):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


def test_masks_that_are_not_restored_would_be_noticed(trained, whole, tmp_path, capsys):
    line = [str(trained), "--out", str(tmp_path), *OPTIONS]
    with stopped_at(1):
        compress.main(line)
    tensors, facts = checkpoint.read(tmp_path / train.LAST)
    swapped = {name: value.flip(-1) for name, value in tensors.items() if name.endswith(".answer")}
    assert swapped
    checkpoint.write(tmp_path / train.LAST, tensors | swapped, facts)
    compress.main([*line, "--resume"])
    assert (tmp_path / train.FINAL).read_bytes() != (whole / train.FINAL).read_bytes()


def test_another_compression_is_not_resumed(trained, whole, capsys):
    with pytest.raises(SystemExit, match="2"):
        compress.main([str(trained), "--out", str(whole), *OPTIONS, "--resume", "--penalty", "0.5"])
    assert capsys.readouterr().err.endswith(
        f"{whole / train.LAST} must be compressed alike, not otherwise\n"
    )


def test_a_penalty_that_diverges_leaves_the_last_state(trained, tmp_path, capsys):
    line = [str(trained), "--out", str(tmp_path), *OPTIONS]
    with stopped_at(1):
        compress.main(line)
    kept = (tmp_path / train.LAST).read_bytes()
    with mock.patch.object(AlignedPruning, "penalty", return_value=torch.tensor(math.nan)):
        assert compress.main([*line, "--resume"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "python -m model.compress: error: the loss of epoch 2 must be a number, not nan; "
        "penalty 0.01 and bit_penalty 0 may be too large"
    )
    assert (tmp_path / train.LAST).read_bytes() == kept
    assert not (tmp_path / train.FINAL).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sparsity", "1"], "sparsity must be at least 0 and below 1, not 1"),
        (["--sparsity", "nan"], "sparsity must be at least 0 and below 1, not nan"),
        (
            ["--sparsity", "0.9"],
            (
                "sparsity of pages must be at most 0.5, not 0.9: more would empty body.0.first, "
                "which has 1x2 pages"
            ),
        ),
        (["--penalty", "-1"], "penalty must be a number from 0 to 1e+06, not -1.0"),
        (["--bit-penalty", "inf"], "bit_penalty must be a number from 0 to 1e+06, not inf"),
        (
            ["--page-sparsity", "0.1"],
            (
                "page_sparsity must be 0 for aligned, not 0.1: only joint has pages and weights "
                "to tell apart"
            ),
        ),
        (
            ["--method", "joint", "--page-sparsity", "0.6"],
            "page_sparsity must be at most the sparsity, 0.5, not 0.6",
        ),
        (
            ["--rows", "128"],
            (
                "rows must be the 64 of the integer network's crossbars, not 128: only aligned "
                "pages of ResNet and VGG may be others"
            ),
        ),
        (["--columns", "3"], "columns must be at least the 4 cells of a weight, not 3"),
        (["--rate", "-1"], "rate must be a number from 0 to 10, not -1.0"),
        (
            ["--bit-penalty", "0.5"],
            "bit_penalty must be left out with aligned: it is one of masks",
        ),
        (
            ["--granularity", "weight"],
            "granularity must be left out with aligned: it is one of masks",
        ),
        (
            ["--method", "twofold", "--quantize", "none", "--bit-penalty", "0.5"],
            "bit_penalty must be 0 with floats, which have no codes",
        ),
        (
            ["--method", "twofold", "--sparsity", "0.99"],
            ("sparsity must leave each page a row, not be 0.99: more would empty body.0.first"),
        ),
    ],
)
def test_bad_input_is_one_line(trained, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        compress.main([str(trained), "--out", str(tmp_path / "out"), *OPTIONS, *options])
    assert capsys.readouterr().err == f"python -m model.compress: error: {message}\n"
    assert not (tmp_path / "out").exists()


def test_floats_go_on_from_the_checkpoint_that_they_began_with(trained, small, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    train.train(dataclasses.replace(RECIPE, seed=1), small, other)
    line = ["--out", str(tmp_path / "out"), *OPTIONS, "--quantize", "none"]
    with stopped_at(1):
        compress.main([str(trained), *line])
    with pytest.raises(SystemExit, match="2"):
        compress.main([str(other / train.FINAL), *line, "--resume"])
    assert capsys.readouterr().err.endswith("must be compressed alike, not otherwise\n")
    assert compress.main([str(trained), *line, "--resume"]) == 0
    # Half of the pages of two layers of 32 x 32; no other weight is 0 by itself.
    zeros = sum(
        int((each == 0).sum())
        for each in load_network(tmp_path / "out" / train.FINAL)[0].parameters()
        if each.dim() > 1
    )
    assert zeros >= 1024
    assert f"zeros: {zeros} of " in capsys.readouterr().out


def test_floats_of_other_images_are_refused(trained, small, tmp_path, capsys):
    other = dataclasses.replace(small, mean=(0.25, 0.5, 0.5))
    line = [str(trained), "--out", str(tmp_path / "out"), *OPTIONS, "--quantize", "none"]
    with (
        mock.patch.object(compress, "load", return_value=other),
        pytest.raises(SystemExit, match="2"),
    ):
        compress.main(line)
    assert "error: mean of the images must be " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e38])
def test_a_checkpoint_without_numbers_is_one_line(trained, tmp_path, capsys, value):
    tensors, facts = checkpoint.read(trained)
    name = "model.body.0.first.0.weight"
    tensors[name] = torch.full_like(tensors[name], value)
    checkpoint.write(tmp_path / "bad", tensors, facts)
    with pytest.raises(SystemExit, match="2"):
        compress.main([str(tmp_path / "bad"), "--out", str(tmp_path / "out"), *OPTIONS])
    told = f"body.0.first.0.weight in {tmp_path / 'bad'} must hold numbers from -1e+09 to 1e+09"
    assert capsys.readouterr().err == f"python -m model.compress: error: {told}\n"
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_is_none_is_one_line(tmp_path, capsys):
    (tmp_path / "no").write_bytes(b"no")
    with pytest.raises(SystemExit, match="2"):
        compress.main([str(tmp_path / "no"), "--out", str(tmp_path / "out"), *OPTIONS])
    assert "must be a safetensors file" in capsys.readouterr().err


def test_a_compressed_network_is_compressed_further(whole, tmp_path, capsys):
    shutil.copy(whole / train.FINAL, tmp_path / "source")
    line = [str(tmp_path / "source"), "--out", str(tmp_path / "out"), *OPTIONS, "--json"]
    assert compress.main(line) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["total"]["absent"] == 2
    # Before, the two pages of zeros are read: 1,024 weights of 128, 10 00 00 00.
    saved = 1024 * (0.73 + 3 * 0.079 + 4 * 0.208)
    before, after = (report["energy_pj"][when] for when in ("before", "after"))
    assert before - after == pytest.approx(saved, rel=0.1)


@pytest.mark.parametrize("method", ["twofold", "joint"])
def test_masks_of_registers(trained, tmp_path, capsys, method):
    line = [str(trained), "--method", method, "--sparsity", "0.5", "--epochs", "2", "--json"]
    with stopped_at(1):
        compress.main([*line, "--out", str(tmp_path / "resumed")])
    for name, resume in (("whole", []), ("resumed", ["--resume"])):
        assert compress.main([*line, "--out", str(tmp_path / name), *resume]) == 0
        report = json.loads(capsys.readouterr().out)
        assert 0.5 <= report["sparsity"]["reached"] < 0.65
        # A quarter of four pages.
        assert report["total"]["absent"] == (1 if method == "joint" else 0)
    whole, resumed = ((tmp_path / name / train.FINAL).read_bytes() for name in ("whole", "resumed"))
    assert whole == resumed


@pytest.fixture(scope="module")
def residual(tmp_path_factory):
    """A ResNet of floats, and the images that it was trained on."""
    recipe = Recipe(model="resnet20", dataset="synthetic", epochs=1, batch_size=128)
    dataset = synthetic(train=128, test=64, image_size=16)
    out = tmp_path_factory.mktemp("residual")
    train.train(recipe, dataset, out)
    return out / train.FINAL, dataset


def compressed(residual, out, *options):
    """Compress it; returns the network's file and the images."""
    file, dataset = residual
    line = [str(file), "--out", str(out), "--method", "aligned", "--batch-size", "16", *options]
    with mock.patch.object(compress, "load", return_value=dataset):
        assert compress.main([*line, "--json"]) == 0
    return out / train.FINAL, dataset


def test_kernel_groups_leave(residual, tmp_path, capsys):
    options = ["--sparsity", "0.4", "--columns", "32", "--epochs", "3"]
    file, dataset = compressed(residual, tmp_path / "out", *options)
    report = json.loads(capsys.readouterr().out)
    assert report["sparsity"]["reached"] == pytest.approx(0.4, abs=0.01)
    assert report["shrunk"]["pages"] < report["total"]["pages"]
    net = export(load_network(file)[0], "net")
    pixels = dataset.test_images[:8].numpy()
    assert (executor.run(net, pixels) == executor.run(shrink(net), pixels)).all()


def test_pages_that_floats_lose_stay_0_for_integers(residual, tmp_path, capsys):
    options = ["--sparsity", "0.5", "--rows", "128", "--columns", "128", "--epochs", "1"]
    floats = compressed(residual, tmp_path / "floats", "--quantize", "none", *options)
    whole = load_network(floats[0])[0]
    gone = [not part.any() for part in whole.stages[2][0].first.conv.weight.split(32)]
    capsys.readouterr()
    file, _ = compressed(floats, tmp_path / "integers", *options)
    report = json.loads(capsys.readouterr().out)
    assert report["sparsity"] == {"asked": 0.5, "reached": 0.5}
    assert report["total"]["pages"] == 88 + 2
    twin = load_network(file)[0].stages[2][0].first.conv
    assert [not part.any() for part in twin.weight.split(32)] == gone


def test_where_converters_saturate_nothing_is_shrunk(trained, tmp_path, capsys):
    line = [str(trained), "--out", str(tmp_path / "out"), *OPTIONS, "--epochs", "1", "--json"]
    assert compress.main([*line, "--adc-bits", "6"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["shrunk"] == report["total"]


def test_joint_asks_for_the_rest_within_pages():
    made = Compress(method="joint", sparsity=0.6, page_sparsity=0.2)
    with mock.patch.object(Compress, "_twofold") as twofold:
        parts = made.make().parts
    assert twofold.call_args.args == (pytest.approx(0.5),)
    assert [part.sparsity for part in parts[1:]] == [0.2]

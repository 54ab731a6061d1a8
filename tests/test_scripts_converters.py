# SPDX-License-Identifier: Apache-2.0
"""The integer network on other crossbars: what is measured, and what docs/training.md says."""

import dataclasses
import json

import intnets
import numpy as np
import pytest

from model import executor, intnet
from model.data import synthetic
from scripts import converters

RESULTS = json.loads(converters.RESULTS.read_text(encoding="utf-8"))


def test_the_document_says_what_was_measured():
    text = converters.TRAINING.read_text(encoding="utf-8")
    assert converters.table(RESULTS) in text
    changed = json.loads(json.dumps(RESULTS))
    changed["crossbars"][0]["accuracy"]["6"] += 0.001
    assert converters.table(changed) not in text


def test_it_was_measured_with_the_zoos_network():
    net = intnet.read(converters.ROOT / "model/zoo/psp_64_4_int8")
    assert intnet.digest(net) == RESULTS["digest"]
    assert RESULTS["images"] == 10_000
    shapes = [(each["rows"], each["cell_bits"]) for each in RESULTS["crossbars"]]
    assert tuple(shapes) == converters.SHAPES


def test_each_figure_is_the_golden_executors():
    net, data = intnets.small("residual"), synthetic(train=8, test=40, image_size=4)
    (found,) = converters.measure(net, data, shapes=[(8, 1)])
    assert (found["rows"], found["cell_bits"], found["full"]) == (8, 1, 8)
    images, labels = data.test_images.numpy(), data.test_labels.numpy()
    logits = {}
    for bits in converters.ADC_BITS:
        other = dataclasses.replace(net, array_rows=8, cell_bits=1, adc_bits=bits)
        logits[bits] = executor.run(other, images)
        right = (logits[bits].argmax(1) == labels).mean()
        assert found["accuracy"][str(bits)] == pytest.approx(right, abs=1e-12)
    assert np.array_equal(logits[8], logits[4])  # at most 8 wordlines


def test_bad_input_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        converters.main(["--intnet", str(tmp_path / "none")])
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1

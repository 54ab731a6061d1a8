# SPDX-License-Identifier: Apache-2.0
"""Energies of weights by the pairs of bits that their cells hold."""

import dataclasses
import re
from pathlib import Path

import intnets
import numpy as np
import pytest

from hw.lfsr_params import LfsrMask, page_seed
from hw.params import ParameterError
from model import intnet
from model.cell_energy import (
    ADC_PJ,
    CELL_PJ,
    best_zero_point,
    network_energy,
    pair_counts,
    weight_energy,
)
from model.cost import config_file
from model.intnet import Crossbar

ZOO = intnet.read(Path(__file__).parent.parent / "model/zoo/psp_64_4_int8")
HALF = {"offset": 128, "twos_complement": 128, "differential": 128}


def by_text(q, encoding, zero_point=128):
    """Return what a weight's cells take, from its digits as text."""
    numbers = {
        "offset": [q + zero_point],
        "twos_complement": [q % 256],
        "differential": [max(q, 0), max(-q, 0)],
    }[encoding]
    text = "".join(f"{number:08b}" for number in numbers)
    table = dict(zip(("00", "01", "10", "11"), CELL_PJ, strict=True))
    return sum(table[text[at : at + 2]] for at in range(0, len(text), 2))


@pytest.mark.parametrize("encoding", HALF)
def test_each_weight_takes_what_its_digits_say(encoding):
    table = weight_energy(encoding)
    wanted = [by_text(q, encoding) for q in range(-128, 128)]
    assert np.allclose(table, wanted, rtol=1e-12)
    assert not np.allclose(np.roll(table, 1), wanted, rtol=1e-2)


def test_narrow_weights_have_fewer_cells():
    assert np.allclose(weight_energy("offset", 4)[[0, 5, 11]], [0.158, 0.72, 2.22])
    assert np.allclose(weight_energy("offset", 3)[[0, 4, 7]], [0.158, 0.439, 1.85])
    assert np.allclose(weight_energy("twos_complement", 4)[7], 2.98)  # −1 = 11 11


@pytest.mark.parametrize(
    ("encoding", "mean", "zero"),
    [("twos_complement", 2.78, 0.316), ("offset", 2.56, 0.967), ("differential", 2.04, 0.632)],
)
def test_gaussian_weights_take_what_was_computed_before(encoding, mean, zero):
    edges = np.arange(-128, 128)
    share = np.exp(-0.5 * (edges / 28) ** 2)
    table = weight_energy(encoding)
    assert np.average(table, weights=share) == pytest.approx(mean, rel=0.006)
    assert table[128] == pytest.approx(zero, abs=1e-9)


def test_the_table_is_the_configurations():
    config = config_file.load("twofold")
    assert np.allclose(config.cell_energy_j, np.array(CELL_PJ) * 1e-12, rtol=1e-12)
    assert config.adc_energy_j == pytest.approx(ADC_PJ * 1e-12)


def test_counts_pairs():
    places = np.array([[0b11011000, 3]])
    assert pair_counts(places).tolist() == [4, 1, 1, 2]
    assert pair_counts(places, bits=8) @ np.array(CELL_PJ) == pytest.approx(
        weight_energy()[places].sum()
    )
    assert pair_counts(np.array([127]), "twos_complement").tolist() == [0, 0, 0, 4]  # −1
    assert pair_counts(np.array([127]), "differential").tolist() == [7, 1, 0, 0]


def test_the_best_zero_point_clips_no_more_than_it_may():
    rng = np.random.default_rng(0)
    q = np.clip(rng.normal(0, 30, 4000).round(), -100, 90).astype(int)
    table = weight_energy()
    lossless = best_zero_point(q)
    assert lossless == min(range(-q.min(), 129), key=lambda z: table[q + z].mean())
    clipping = best_zero_point(q, clipped=0.005)
    assert clipping < -q.min()
    assert 0 < (q < -clipping).mean() <= 0.005
    assert table[(q + clipping).clip(0)].mean() < table[q + lossless].mean()
    assert best_zero_point(np.array([0, 3])) == 1  # 01 and 01 00, instead of 00 and 11
    message = "weights must fit in 4 bits, not reach from -9 to 1"
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        best_zero_point(np.array([-9, 1]), 4)


def test_a_networks_energy_is_that_of_all_its_weights():
    table = weight_energy()
    for layer, found in zip(
        (layer for layer in ZOO.layers if isinstance(layer, Crossbar)),
        network_energy(ZOO),
        strict=True,
    ):
        assert found.name == layer.name
        assert found.read == found.weights == layer.weights.size
        assert found.cell_pj == pytest.approx(table[layer.weights].sum())
        assert found.adc_pj == pytest.approx(0.208 * 4 * layer.weights.size)
        # Dense pages have all their rows driven.
    assert network_energy(ZOO, skip="rows") == network_energy(ZOO)
    differential = network_energy(ZOO, encoding="differential")
    assert differential[1].adc_pj == 2 * network_energy(ZOO)[1].adc_pj


def masked_net(count):
    """Return the zoo's network with masks of rows in its body, by their registers."""
    layers, number = [], 0
    for layer in ZOO.layers:
        if isinstance(layer, Crossbar):
            if layer.name.startswith("body"):
                weights = layer.weights.copy()
                for group in range(4):
                    kept = LfsrMask(
                        positions=64, count=count, seed=page_seed(64, number, 0, group)
                    ).kept()
                    weights[~kept, 16 * group : 16 * group + 16] = layer.zero_point
                layer = dataclasses.replace(layer, weights=weights)
            number += 1
        layers.append(layer)
    return dataclasses.replace(ZOO, layers=tuple(layers))


def test_gated_rows_and_absent_pages_take_nothing():
    net = masked_net(20)
    table = weight_energy()
    read, rows, masked = (network_energy(net, skip=skip) for skip in ("none", "rows", "masked"))
    layer = net.layers[1]
    used = layer.weights != layer.zero_point
    assert rows[1].read == 20 * 64
    assert masked[1].read == used.sum() <= rows[1].read < read[1].read == 4096
    assert rows[0] == read[0]  # the stem is dense
    assert masked[1].cell_pj == pytest.approx(table[layer.weights[used]].sum())
    zeros = (~used).sum() * table[128]
    assert read[1].cell_pj == pytest.approx(masked[1].cell_pj + zeros)
    empty = network_energy(masked_net(0), skip="rows")[1]
    assert (empty.read, empty.cell_pj, empty.adc_pj) == (0, 0, 0)
    # Where an ADC may saturate, hardware gates nothing.
    saturating = dataclasses.replace(net, adc_bits=7)
    assert network_energy(saturating, skip="rows") == read
    # Pages of another width have other registers: hardly a row is gated.
    assert network_energy(net, skip="rows", columns=128)[1].read > 3500


def test_refuses_what_cannot_be_counted():
    shifted = dataclasses.replace(
        ZOO.layers[1], zero_point=100, weights=ZOO.layers[1].weights.clip(0, 240)
    )
    layers = (ZOO.layers[0], shifted, *ZOO.layers[2:])
    low, high = (int(f(shifted.weights.astype(int))) - 100 for f in (np.min, np.max))
    rule = "weights of body.0.first must be from -128 to 127 for differential"
    for options, net, message in (
        ({"skip": "all"}, ZOO, "skip must be one of none, rows, masked, not 'all'"),
        ({"encoding": "gray"}, ZOO,
         "encoding must be one of offset, twos_complement, differential, not 'gray'"),
        ({"columns": 0}, ZOO, "columns must be an integer from 1 to 4096, not 0"),
        ({}, intnets.small("residual", cell_bits=1), "cell_bits must be 2, not 1"),
        ({"encoding": "differential"}, dataclasses.replace(ZOO, layers=layers),
         f"{rule}, not from {low} to {high}"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
            network_energy(net, **options)

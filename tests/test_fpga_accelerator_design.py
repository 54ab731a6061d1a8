# SPDX-License-Identifier: Apache-2.0
"""The accelerator behind the host link, as RTL with a serial line on its pins, and its host."""

import numpy as np
import pytest
from intnets import images, random_net

from cosim import serial, simulators
from cosim.serial import Line, SimulatedPort
from fpga.accelerator_design import AcceleratorDesign
from fpga.accelerator_host import Classifier
from fpga.session import Session
from fpga.target import DeviceError, Target
from hw import timing
from hw.image import build
from hw.params import address_bits
from model import executor, intnet

SIZES = {"columns": 16, "columns_per_adc": 4, "mode": "in_place"}
# Two crossbars, maps wider than a byte, a second affine; then one crossbar and maps of bytes.
NETS = {
    "sp": random_net("sp", 7, side=8, width=24, array_rows=6, depth=1, stream_bits=10, classes=5),
    "residual": random_net("residual", 3, side=6, width=14, array_rows=16, depth=1, classes=3),
}


def block(net):
    design = AcceleratorDesign(
        build(net, **SIZES), network=net.name, sha256=intnet.digest(net)
    )  # fmt: skip
    return serial.device_block(design)


@pytest.fixture(scope="module", params=["residual", pytest.param("sp", marks=pytest.mark.slow)])
def library(request):
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    net = NETS[request.param]
    return net, serial.build(block(net), optimise="-O0")


@pytest.fixture
def case(library, tmp_path):
    net, model = library
    intnet.write(tmp_path / "net", net)
    with Line(model) as line:
        target = Target(Session(SimulatedPort(line)))
        yield net, target, Classifier(target, tmp_path / "net")


def test_it_classifies_as_configured_without_being_loaded(case):
    net, target, classifier = case
    pixels = images(net, 2)
    wanted = executor.run(net, pixels)
    for number, each in enumerate(pixels):
        logits, cycles = classifier.classify(each)
        assert logits.tolist() == wanted[number].tolist()
        assert cycles == timing.accelerator_cycles(classifier.params)
    registers = target.registers()
    assert registers["runs"] == 2
    assert registers["conversions"] > registers["map_writes"] > 0


def test_what_is_loaded_takes_the_place_of_what_was_configured(case):
    net, target, classifier = case
    [pixels] = images(net, 1)
    streams = classifier.streams()
    before, _ = classifier.classify(pixels)
    beat = target.region("program").word_bytes
    cells = bytearray(streams["program"])
    cells[::beat] = bytes(byte ^ 1 for byte in cells[::beat])  # a cell of each column
    classifier.load(streams | {"program": bytes(cells)})
    assert classifier.classify(pixels)[0].tolist() != before.tolist()
    classifier.load(streams)
    assert classifier.classify(pixels)[0].tolist() == before.tolist()


def test_maps_are_read_as_they_were_written(case):
    _, target, classifier = case
    region = target.region("maps")
    params = classifier.params
    size = region.word_bytes
    assert size == (1 if params.shift.bits <= 8 else 2)
    generator = np.random.Generator(np.random.PCG64(5))
    half = 1 << params.shift.bits - 1
    written = {
        place: generator.integers(-half, half, 40).astype(f"<i{size}").tobytes()
        for place in (0, size << params.bank_bits + address_bits(params.banks))  # two buffers
    }
    for place, data in written.items():
        target.write("maps", place, data)
    assert {place: target.read("maps", place, 40 * size) for place in written} == written


def test_an_image_after_one_that_was_left_in_the_middle(case):
    net, target, classifier = case
    pixels = images(net, 2)
    classifier.classify(pixels[0])
    target.run(1, limit=1 << 20)
    assert target.registers()["layer"] == 1
    assert classifier.classify(pixels[1])[0].tolist() == executor.run(net, pixels)[1].tolist()
    assert target.registers()["layer"] == 0


def test_another_network_is_refused(case, tmp_path):
    net, target, _ = case
    other = next(each for each in NETS.values() if each is not net)
    intnet.write(tmp_path / "other", other)
    with pytest.raises(DeviceError, match="the device's network must be that of"):
        Classifier(target, tmp_path / "other")
    with pytest.raises(DeviceError, match="the device's network must be one of the zoo"):
        Classifier(target)

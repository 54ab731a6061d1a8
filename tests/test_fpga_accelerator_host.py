# SPDX-License-Identifier: Apache-2.0
"""The accelerator from the host's side: the RTL behind a Python model of the link's device."""

import json
import re
import zlib

import numpy as np
import pytest
from fake_device import FakeDevice, info
from intnets import images, random_net
from PIL import Image

import fpga.pictures
from cosim import fast, simulators
from fpga import host
from fpga.accelerator_host import Classifier, differences
from fpga.session import Session
from fpga.target import DeviceError, Target
from hw import timing
from hw.image import build
from hw.load import payloads
from hw.params import ParameterError, address_bits
from model import executor, intnet

SIZES = {"columns": 16, "columns_per_adc": 4, "mode": "in_place"}
STREAMS = ("program", "entries", "channels", "affines")
# Two crossbars, maps wider than a byte, a second affine; then one crossbar and maps of bytes.
NETS = {
    "sp": random_net("sp", 7, side=8, width=24, array_rows=6, depth=1, stream_bits=10, classes=5),
    "residual": random_net("residual", 3, side=6, width=14, array_rows=16, depth=1, classes=3),
}


class Device(FakeDevice):
    """The accelerator's RTL behind the regions of fpga/protocol.md; a port that can be opened."""

    def __init__(self, net, library, **changes):
        params = self.params = build(net, **SIZES).params
        self.model = fast.Model(library, build(net, **SIZES), load=False)
        self.word = 1 if params.shift.bits <= 8 else 2
        layouts = payloads(params)
        self.beats = [-(-layouts[name].size // 8) for name in STREAMS]
        self.widths = [layouts[name].size for name in STREAMS]
        addresses = 1 << address_bits(len(params.buffers) + 1) + address_bits(params.banks)
        size = self.word * addresses << params.bank_bits
        regions = [("maps", 2, size, self.word, "rw"), ("logits", 3, 4 * params.classes, 4, "r")]
        for number, (name, beat) in enumerate(zip(STREAMS, self.beats, strict=True)):
            regions.append((name, 4 + number, beat << 10, beat, "w"))
        parameters = {"sha256": intnet.digest(net), **SIZES, "registers": ["layer"]} | changes
        super().__init__(
            info("accelerator", regions, parameters),
            read=self.get, write=self.put, run=self.start, own=["layer"],
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def get(self, region, address, count):
        assert region == 3
        return self.model.logits().astype("<i4").tobytes()[address : address + count]

    def put(self, region, address, data):
        if region > 3:
            self.loaded += data
            beat = self.beats[region - 4]
            for at in range(0, len(data), beat):
                value = int.from_bytes(data[at : at + beat], "little")
                self.model.send(STREAMS[region - 4], self.widths[region - 4], [value])
            return
        banks, bits = address_bits(self.params.banks), self.params.bank_bits
        for number, value in enumerate(np.frombuffer(data, f"<u{self.word}"), address // self.word):
            place, bank = number & ((1 << bits) - 1), number >> bits & ((1 << banks) - 1)
            value = value & ((1 << self.params.shift.bits) - 1)
            self.model._access(
                "map_write", number >> bits + banks, bank,
                np.array([place], np.uint32), np.array([value], np.uint32),
            )  # fmt: skip

    def start(self, argument):
        assert argument == 0
        return self.model.run(limit=1 << 20)


@pytest.fixture(scope="module")
def libraries():
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    return {
        name: fast.build(fast.accelerator_block(build(net, **SIZES).params), optimise="-O0")
        for name, net in NETS.items()
    }


@pytest.fixture(params=NETS)
def case(request, libraries, tmp_path):
    net = NETS[request.param]
    intnet.write(tmp_path / "net", net)
    return net, Device(net, libraries[request.param]), tmp_path / "net"


def test_a_network_is_loaded_and_classifies(case):
    net, device, folder = case
    classifier = Classifier(Target(Session(device)), folder)
    streams, sizes = classifier.streams(), []
    classifier.load(streams, advance=sizes.append)
    assert sum(sizes) == sum(map(len, streams.values()))
    assert ("affines" in streams) == (net is NETS["sp"])
    pixels = images(net, 3)
    runs = [classifier.classify(each) for each in pixels]
    found, cycles = zip(*runs, strict=True)
    assert np.array_equal(np.stack(found), executor.run(net, pixels))
    assert set(cycles) == {timing.accelerator_cycles(classifier.params)}
    assert differences(classifier, pixels, runs) == []


def test_differences_are_told(case):
    net, device, folder = case
    classifier = Classifier(Target(Session(device)), folder)
    pixels = images(net, 2)
    wanted, cycles = executor.run(net, pixels), timing.accelerator_cycles(classifier.params)
    wrong = wanted.copy()
    wrong[1, 0] += 1
    runs = list(zip(wrong, [cycles + 1, cycles], strict=True))
    assert differences(classifier, pixels, runs) == [
        f"image 0: cycles must be {cycles} as in hw.timing, not {cycles + 1}",
        (
            f"image 1: logits must be {wanted[1].tolist()} as in the integer executor, "
            f"not {wrong[1].tolist()}"
        ),
    ]


def test_what_is_lost_while_loading_is_noticed(case):
    _, device, folder = case
    classifier = Classifier(Target(Session(device)), folder)
    put = device.put

    def lossy(region, address, data):
        put(region, address, data)
        if region == 5 and address == 0:
            device.loaded = device.loaded[:-1]

    device._write = lossy
    with pytest.raises(DeviceError, match="^the CRC-32 of what is loaded must be [0-9a-f]{8}, not"):
        classifier.load(classifier.streams())


def test_an_image_is_written_again_if_the_device_forgets(case):
    net, device, folder = case
    classifier = Classifier(Target(Session(device)), folder)
    classifier.load(classifier.streams())
    start, forgotten = device.start, []

    def forgetful(argument):
        if not forgotten:
            forgotten.append(argument)
            device.forget()
        return start(argument)

    device._run = forgetful
    pixels = images(net, 1)
    assert np.array_equal(classifier.classify(pixels[0])[0], executor.run(net, pixels)[0])
    assert forgotten


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sha256": "0"},
            "the device's network must be that of {folder} with sha256 {digest}, not '0'",
        ),
        ({"mode": "slow"}, "the device must say what tile it has: .* not 'slow'"),
        ({"columns": None}, "the device must say what tile it has: .* not None"),
    ],
)
def test_another_device_is_refused(changes, message, libraries, tmp_path):
    net = NETS["residual"]
    intnet.write(tmp_path, net)
    device = Device(net, libraries["residual"], **changes)
    message = message.format(folder=re.escape(str(tmp_path)), digest=intnet.digest(net))
    with pytest.raises(DeviceError, match=f"^{message}$"):
        Classifier(Target(Session(device)), tmp_path)


def test_beats_of_another_width_are_refused(case):
    _, device, folder = case
    target = Target(Session(device))
    regions = target.info.regions
    size = regions["entries"].word_bytes
    object.__setattr__(regions["entries"], "word_bytes", size + 1)
    message = f"a beat of region entries must have {size} bytes, not {size + 1}"
    with pytest.raises(DeviceError, match=f"^{message}$"):
        Classifier(target, folder).streams()


def test_an_image_of_another_shape_is_refused(case):
    _, device, folder = case
    classifier = Classifier(Target(Session(device)), folder)
    with pytest.raises(ParameterError, match="^an image must be uint8 "):
        classifier.classify(np.zeros((3, 5, 8), np.uint8))


def test_the_commands(libraries, tmp_path, monkeypatch, capsys):
    net = NETS["residual"]
    intnet.write(tmp_path / "net", net)
    device = Device(net, libraries["residual"])
    monkeypatch.setattr(host.serial, "Serial", lambda *_, **__: device)

    def call(*arguments):
        code = host.main(["--port", "board", "--json", *arguments])
        return code, json.loads(capsys.readouterr().out)

    code, found = call("load", "--intnet", str(tmp_path / "net"))
    assert (code, list(found["bytes"])) == (0, ["program", "entries", "channels"])
    pixels = images(net, 2)
    files = [tmp_path / f"{number}.png" for number in range(2)]
    for file, each in zip(files, pixels, strict=True):
        Image.fromarray(each.transpose(1, 2, 0)).save(file)
    chosen = ["classify", "--intnet", str(tmp_path / "net"), *map(str, files)]
    code, found = call(*chosen, "--check")
    logits = executor.run(net, pixels)
    assert (code, found["differences"]) == (0, [])
    assert [each["logits"] for each in found["images"]] == logits.tolist()
    assert [each["class"] for each in found["images"]] == logits.argmax(1).tolist()
    monkeypatch.setattr(device, "_run", lambda argument: 17)  # logits stay those of before
    code, found = call(*chosen, "--check")
    assert code == 1
    assert "image 0: logits must be " in found["differences"][0]
    assert host.main(["--port", "board", "selftest"]) == 1
    rule = "the device's network must be one of the zoo, or be given with --intnet, not"
    told = f"{host.PROGRAM}: error: board: {rule} '{intnet.digest(net)}'\n"
    assert capsys.readouterr().err == told
    with pytest.raises(SystemExit, match="^2$"):
        host.main(["--port", "board", "classify", "--intnet", str(tmp_path / "net"), __file__])
    assert "must be a whole PNG or JPEG or WEBP picture" in capsys.readouterr().err


@pytest.fixture
def board(libraries, tmp_path, monkeypatch):
    """The small network on a device that can be opened as a port; its folder, and its pictures."""
    net = NETS["residual"]
    intnet.write(tmp_path / "net", net)
    device = Device(net, libraries["residual"])
    monkeypatch.setattr(host.serial, "Serial", lambda *_, **__: device)
    assert host.main(["--port", "board", "load", "--intnet", str(tmp_path / "net")]) == 0
    files = [tmp_path / f"{number}.png" for number in range(2)]
    for file, each in zip(files, images(net, 2), strict=True):
        Image.fromarray(each.transpose(1, 2, 0)).save(file)
    return device, tmp_path / "net", files


def test_each_image_is_told_as_it_comes(board, capsys):
    device, folder, files = board
    start, before = device.start, []
    capsys.readouterr()

    def watched(argument):
        before.append(capsys.readouterr().out)
        return start(argument)

    device._run = watched
    chosen = ["--port", "board", "classify", "--intnet", str(folder), *map(str, files)]
    assert host.main(chosen) == 0
    before.append(capsys.readouterr().out)
    wanted = executor.run(NETS["residual"], images(NETS["residual"], 2)).argmax(1)
    lines = [f"{file}: class {each}\n" for file, each in zip(files, wanted, strict=True)]
    assert before == ["", *lines]


def test_classes_of_cifar10_have_names(board, monkeypatch, capsys):
    _, folder, _ = board
    pixels = images(NETS["residual"], 2)
    monkeypatch.setattr(host, "dataset", lambda name, data, count: (pixels, [1, 2]))
    chosen = ["--port", "board", "classify", "--intnet", str(folder), "--dataset"]
    capsys.readouterr()
    assert host.main([*chosen, "cifar10", "--json"]) == 0
    for each in json.loads(capsys.readouterr().out)["images"]:
        assert each["name"] == ("airplane", "automobile", "bird")[each["class"]]
    assert host.main([*chosen, "cifar10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"cifar10 0: class \d, (airplane|automobile|bird)", lines[0])
    assert host.main([*chosen, "cifar100"]) == 0
    assert re.fullmatch(r"cifar100 0: class \d", capsys.readouterr().out.splitlines()[0])


def test_counters_tell_what_was_loaded_and_leave_it(board, capsys):
    device, folder, files = board
    crc = zlib.crc32(device.loaded)
    for _ in range(2):
        capsys.readouterr()
        assert host.main(["--port", "board", "counters"]) == 0
        assert f"loaded: {crc:08x}" in capsys.readouterr().out.splitlines()
    assert host.main(["--port", "board", "classify", "--intnet", str(folder), str(files[0])]) == 0
    capsys.readouterr()
    assert host.main(["--port", "board", "counters", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loaded"] == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "{file} must be a readable file: No such file or directory"),
        (b"x" * 2000, "{file} must have at most 1999 bytes"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named_once(board, tmp_path, content, told, monkeypatch,
                                                     capsys):  # fmt: skip
    _, folder, _ = board
    file = tmp_path / "cat.png"
    if content:
        file.write_bytes(content)
    monkeypatch.setattr(fpga.pictures, "MAX_BYTES", 1999)
    with pytest.raises(SystemExit, match="^2$"):
        host.main(["--port", "board", "classify", "--intnet", str(folder), str(file)])
    assert capsys.readouterr().err == f"{host.PROGRAM}: error: {told.format(file=file)}\n"

# SPDX-License-Identifier: Apache-2.0
"""The waveforms are those of the RTL, and what they show is a shift."""

import numpy as np

from hw import timing
from model import golden
from scripts import shift_waves as waves


def pixels(words):
    return np.array([[words[waves.PARAMS.address(y, x)] for x in range(3)] for y in range(2)])


def test_the_pictures_are_current(capsys):
    assert waves.main([]) == 0
    assert capsys.readouterr().out == "".join(f"docs/results/{name}\n" for name in waves.PICTURES)


def test_another_simulation_is_noticed(monkeypatch, capsys):
    monkeypatch.setattr(waves, "DIRECTIONS", waves.DIRECTIONS[::-1])
    assert waves.main([]) == 1
    assert capsys.readouterr().err == (
        "python -m scripts.shift_waves: error: shift_module.svg must be as simulated: "
        "python -m scripts.shift_waves --update\n"
    )


def test_the_module_shifts_both_channels_in_its_cycles():
    trace, after = waves.module_trace()
    for before, words, direction in zip(waves.channels(), after, waves.DIRECTIONS, strict=True):
        expected = golden.shift_channel(pixels(before), direction)
        assert (pixels(words) == expected).all()
    taken = [s & r for s, r in zip(trace["start"], trace["ready"], strict=True)].index(1)
    last = len(trace["done"]) - 1 - trace["done"][::-1].index(1)
    assert last - taken == timing.shift_cycles(waves.PARAMS, channels=2) - 1
    assert sum(trace["mem_we"]) == 2 * waves.PARAMS.pixels


def test_the_cycles_that_the_page_names():
    page = (waves.FOLDER.parent / "shift-ip.md").read_text()
    trace, _ = waves.module_trace()
    high = {
        name: [cycle for cycle, value in enumerate(trace[name]) if value]
        for name in ("start", "ready", "done", "mem_we")
    }
    first, second = sorted(set(high["start"]) & set(high["ready"]))
    assert high["done"][0] == second
    first_pixel, last = high["mem_we"][0], high["done"][1]
    for cycle, text in (
        (first, "`start` with `ready`: the channel"),
        (first_pixel - 1, "CONFIG: memory is not touched"),
        (f"{first_pixel}…{second}", "SHIFT: a pixel is read"),
        (second, "`done`; `ready` takes the next `start`"),
        (last, "`done` of the second channel: 2·6 + 2 cycles from the first `start`"),
    ):
        assert f"\n| {cycle} | {text}" in page
    assert last - first + 1 == 2 * 6 + 2
    assert page.count(f", {waves.BEYOND} above,") == 1


def test_the_reader_gives_the_shifted_channel():
    trace = waves.reader_trace()
    shifted = golden.shift_channel(pixels(waves.channels()[0]), waves.DIRECTIONS[0])
    assert trace["data"][1:] == shifted.ravel().tolist()
    assert waves.BEYOND in trace["mem_rdata"]
    assert waves.BEYOND not in trace["data"]

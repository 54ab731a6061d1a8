# SPDX-License-Identifier: Apache-2.0
"""What the README and the pages tell people to type is there, and figures in prose are right."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hw import gen, timing
from hw.params import CHANNEL_DIVIDER, MAX_BITS, MAX_SIDE
from hw.tile_params import TileParams
from scripts import bitstreams
from scripts.tables import insert, proofs_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GENERATE = re.findall(r"^python (-m hw\.gen[^#\n]*)", README, re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = sorted(
    {
        " ".join(command.replace("\\\n", " ").split())
        for page in PAGES
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        for command in re.findall(r"^python -m ((?:[^#\n]*\\\n)*[^#\n]*)", block, re.MULTILINE)
    }
)
STORED = ROOT / "docs/results"
TARGETS = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))


def test_the_commands_were_found():
    assert len(GENERATE) == 6
    assert {"demo", "test", "prove", "mutate", "size", "bench", "lint"} <= TARGETS


@pytest.mark.parametrize("command", GENERATE)
def test_generator_lines(tmp_path, command):
    done = subprocess.run(
        [sys.executable, *shlex.split(command)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "build").rglob("*.v"))) == 1


def unknown(command, capsys):
    """Options of a command that its help does not have; a bad value is another exit code."""
    module, *words = shlex.split(command)
    if importlib.util.find_spec(module).submodule_search_locations:
        module += ".__main__"
    main = importlib.import_module(module).main
    shown = ""
    for arguments in (["--help"], [*words, "--help"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0, capsys.readouterr().err
        shown += capsys.readouterr().out
    return {word for word in words if word.startswith("--")} - set(re.findall(r"--[a-z-]+", shown))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_every_page_takes_its_options(capsys, command):
    assert unknown(command, capsys) == set()


def test_an_option_that_is_not_there_is_noticed(capsys):
    assert unknown("model.cost psp_64_4 --total", capsys) == {"--total"}
    assert unknown("fpga.host --port x classify --dataset cifar10 --shake", capsys) == {"--shake"}
    with pytest.raises(AssertionError, match="argument --board: invalid choice: 'none'"):
        unknown("fpga.flow build --board none", capsys)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_targets_exist(target):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_missing_target_is_noticed():
    done = subprocess.run(["make", "-n", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0


def stored(name):
    return json.loads((STORED / name).read_text())


def test_ports_are_those_of_the_module(tmp_path):
    assert gen.main(["--fmap", "16", "--out", str(tmp_path / "ip")]) == 0
    described = json.loads((tmp_path / "ip/shift_module.json").read_text())
    ports = {port["name"]: (port["direction"], port["width"]) for port in described["ports"]}
    table = README[README.index("| port of `shift_module`") :].partition("\n\n")[0]
    said = {}
    for names, ways, bits in re.findall(r"^\| (`[^|]*`) \| ([^|]*) \| ([^|]*) \|", table, re.M):
        width = sum(int(part) for part in bits.split("+"))
        columns = zip(names.split(", "), ways.split(", ") * 2, strict=False)
        said |= {name.strip("`"): (f"{way}put", width) for name, way in columns}
    assert said == ports
    assert re.search(r"exactly n·H·W \+ 2 cycles", README)
    assert described["cycles"]["channels back to back"] == "channels*height*width + 2"


def test_figures_in_prose():
    """Those outside of the marked tables, made again of what is stored or computed."""
    runs = {(row["precision"], row["recipe"]["adc_bits"]): row["mean"]
            for row in stored("accuracy.json")["rows"] if row["model"] == "psp_64_4"}  # fmt: skip
    paper = bitstreams.PAPER
    adc = f"{runs['int8', 6]:.2f} % trained for 6"
    tile = TileParams(rows=64, columns=64, columns_per_adc=8)
    page = tile.act_bits * tile.columns_per_adc
    for said in (
        f"the paper's¹ module takes {paper['luts']} LUTs and {paper['ffs']} flip-flops",
        f"any 2…{MAX_SIDE} by 2…{MAX_SIDE}, 1…{MAX_BITS} bits",
        f"eight groups of C // {CHANNEL_DIVIDER} channels",
        f"takes {page} cycles a page",
        f"{adc}; with 1-bit cells 5 bits leave all of its {runs['int8', 8]:.2f} %",
    ):
        assert said in README.replace("\n", " ")
    more = timing.tile_cycles(tile, vectors=1, pages=3) - timing.tile_cycles(
        tile, vectors=1, pages=2
    )
    assert more == page
    coarse, fine = (
        next(each["accuracy"] for each in stored("converters.json")["crossbars"]
             if (each["rows"], each["cell_bits"]) == (64, bits)) for bits in (2, 1)
    )  # fmt: skip
    assert coarse["7"] == coarse["8"] > coarse["6"]
    assert round(100 * fine["5"], 2) >= runs["int8", 8]


def test_proofs_named_in_prose_are_in_the_table():
    proofs = (ROOT / "docs/verification.md").read_text()
    shapes = re.search(r"proof by induction, ([\d×, ]+) and others", README)[1].split(", ")
    assert len(shapes) == 3
    for shape in shapes:
        assert f"| shift-content-{shape.replace('×', 'x')} |" in proofs


def test_tables_go_between_their_marks(tmp_path):
    document = tmp_path / "d.md"
    document.write_text("a\n<!-- t -->\nold\n<!-- /t -->\nb\n")
    insert(document, "t", "| new |")
    assert document.read_text() == "a\n<!-- t -->\n| new |\n<!-- /t -->\nb\n"
    with pytest.raises(ValueError, match=r"^d\.md must have the marks of u once, not 0 times$"):
        insert(document, "u", "")


def test_proofs_that_do_not_hold_are_not_counted():
    proof = {"name": "p", "claim": "c", "method": "m", "seconds": 1.0, "fault": "f",
             "control": "not refuted", "passed": False}  # fmt: skip
    assert proofs_table([proof]).startswith("0 of 1 proofs hold")
    assert proofs_table([json.loads(json.dumps(proof)) | {"passed": True}]).startswith("1 of 1")

# SPDX-License-Identifier: Apache-2.0
"""The command line of the cost simulator: what it prints and writes, and each refusal's line."""

import csv
import io
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from cost_command import as_json, refused, run
from costs import config

from model.cost.components import GROUPS
from model.cost.config import keys
from model.cost.config_file import NAMES, load
from model.cost.networks import load as load_network
from model.cost.networks import named
from model.cost.results import NOT_MODELLED, SHIFT_MODES, shift_modes
from model.cost.simulate import simulate
from model.cost.text import si
from model.layer_shape import layers_to_json
from model.layers import NAMES as NETWORKS
from model.layers import layer_shapes

PUBLISHED = ", ".join(NAMES)
KNOWN = ", ".join(NETWORKS)
CONFIGS = f"config must be one of {PUBLISHED} or a file .toml"
SOURCES = "network must be a name, a folder of an integer network or a file .json with layers"
INT8 = "model/zoo/psp_64_4_int8"
SATURATES = (
    "ADCs of 32 levels saturate: 64 rows sum up to 192, so that accuracy is not that of exact sums"
)
ZOO = Path("model/zoo").absolute()


def test_prints_a_table_that_fits_a_terminal(capsys):
    out = run(capsys, "psp_256_16")
    assert max(map(len, out.splitlines())) <= 130
    assert len(out.splitlines()) < 35
    assert "  body.0.first … body.15.first    16  256×1024      2       2    100.00" in out
    cost = simulate(named("psp_256_16"), load("date2024_22nm"))
    assert f"  latency    {si(cost.latency, 's')} an image, clock 532 MHz\n" in out
    assert f"  energy     {si(cost.energy, 'J')} an image: analog" in out
    assert f"  lanes (chosen)   {cost.shift.cycles:,}  86.0 µs" in out


def test_totals_are_short_and_name_the_files(capsys, tmp_path):
    files = [str(tmp_path / name) for name in ("layers.csv", "page.html")]
    out = run(capsys, INT8, "--totals", "--csv", files[0], "--html", files[1])
    *lines, one, other = out.splitlines()
    assert [one, other] == files
    cost = simulate(load_network(INT8), load("date2024_22nm"))
    mapping = cost.mapping
    assert cost.mapping.owned_cells == 10 * 256 * 256
    shares = (mapping.utilisation, mapping.unique_utilisation, mapping.array_utilisation)
    copies, unique, arrays = (f"{100 * share:.2f}" for share in shares)
    assert lines[3:5] == [
        f"  crossbars  160 in 10 tiles of 256²; one copy needs {mapping.arrays}",
        f"  cells      used: {copies} % with copies, {unique} % unique, {arrays} % of one copy's",
    ]
    assert [line.split()[0] for line in lines[5:9]] == ["area", "latency", "energy", "TOPS/W"]
    assert len(lines) == 12
    # JSON stays alone on stdout.
    json.loads(run(capsys, INT8, "--json", "--html", files[1]))


def test_the_demo_ends_with_a_report_of_the_network_that_it_ran():
    # Called by make itself, the inner one would tell its folder.
    command = ["make", "--no-print-directory", "-n", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *_, simulation, report = (line.split() for line in done.stdout.splitlines())
    assert simulation[1:5] == ["-m", "cosim.run", "--intnet", INT8]
    assert report[1:4] == ["-m", "model.cost", INT8]
    after = [words[words.index("--counters") + 1] for words in (simulation, report)]
    assert after[0] == after[1]
    assert report[-2:] == ["--html", "build/demo/cost.html"]


def test_json_is_what_simulate_finds(capsys):
    found = as_json(capsys, "psp_128_8")
    (chip,) = found["chips"]
    cost = simulate(named("psp_128_8"), load("date2024_22nm"))
    for name, value in {
        "area_m2": cost.area,
        "latency_s": cost.latency,
        "energy_j": cost.energy,
        "tops_per_watt": cost.tops_per_watt(),
        "analog_energy_j": cost.analog_energy,
        "weights": 264960,
        "utilisation_with_copies": cost.mapping.utilisation,
        "utilisation_unique_weights": cost.mapping.unique_utilisation,
        "utilisation_by_arrays": cost.mapping.array_utilisation,
    }.items():
        assert chip[name] == value
    assert chip["digital_energy_j"] + chip["analog_energy_j"] == pytest.approx(cost.energy)
    for name, total in (("area_m2", cost.area), ("latency_s", cost.latency),
                        ("energy_j", cost.energy)):  # fmt: skip
        assert sum(chip["components"][name].values()) == pytest.approx(total)
    assert [layer["layer"] for layer in chip["layers"]] == [each.name for each in cost.layers]
    for quantity, unit in (("latency", "s"), ("energy", "j")):
        groups = [*GROUPS[quantity], "shift", *(["leakage"] if quantity == "energy" else [])]
        for layer in chip["layers"]:
            total = sum(layer[f"{quantity}_{group}_{unit}"] for group in groups)
            assert total == pytest.approx(layer[f"{quantity}_{unit}"])
            assert sum(layer["components"][f"{quantity}_{unit}"].values()) == pytest.approx(total)
    assert chip["not_modelled"] == list(NOT_MODELLED)
    assert chip["config"]["keys"].keys() == {key.name for key in keys()}
    assert found["warnings"] == []


def test_shift_modes_are_those_of_a_simulation_of_each():
    cost = simulate(named("psp_64_4"), config())
    modes = shift_modes(cost)
    assert modes.keys() == set(SHIFT_MODES) == set(
        next(key.choices for key in keys() if key.name == "shift")
    )  # fmt: skip
    for mode, shift in modes.items():
        assert simulate(named("psp_64_4"), config(shift=mode)).shift == shift
    assert modes["fused"].cycles == 0 < modes["lanes"].cycles < modes["in_place"].cycles


def test_an_integer_network_brings_its_statistics(capsys):
    start = time.monotonic()
    (real,) = as_json(capsys, INT8)["chips"]
    assert time.monotonic() - start < 5
    (assumed,) = as_json(capsys, "psp_64_4")["chips"]
    assert real["network"] == "psp_64_4_int8"
    assert {layer["activity_is"] for layer in real["layers"]} == {"measured"}
    assert {layer["activity_is"] for layer in assumed["layers"]} == {"assumed"}
    assert {layer["activity"] for layer in assumed["layers"]} == {0.511}
    assert len({layer["activity"] for layer in real["layers"]}) == 10
    assert real["area_m2"] == assumed["area_m2"]
    assert real["analog_energy_j"] < assumed["analog_energy_j"]
    document = " ".join(Path("docs/cost.md").read_text("utf-8").split())
    one, other = (si(chip["energy_j"], "J") for chip in (real, assumed))
    assert f"psp_64_4_int8 takes {one}, psp_64_4 under the" in document
    assert f"under the assumptions for names {other})" in document
    assert real["assumptions"] == [
        "energies follow the stored weights, and activations of 8 real images",
        SATURATES,
    ]
    assert assumed["assumptions"] == [
        "weights are unknown: each level of a cell is taken as equally frequent",
        "activations are unknown: a bit plane is taken to drive 51.1% of the rows, as after GELU",
        SATURATES,
    ]


def test_takes_a_list_of_layers(capsys, tmp_path):
    file = tmp_path / "one.json"
    layer = {"name": "only", "kind": "conv", "in_channels": 16, "out_channels": 8, "kernel": 3,
             "stride": 1, "padding": 1, "groups": 1, "in_height": 8, "in_width": 8}  # fmt: skip
    file.write_text(json.dumps([layer]))
    (chip,) = as_json(capsys, str(file))["chips"]
    assert (chip["network"], chip["weights"], chip["layers"][0]["rows"]) == ("one", 1152, 144)
    assert chip["assumptions"][3].startswith("small network: ")


def test_csv_has_a_line_a_layer(capsys, tmp_path):
    file = tmp_path / "new" / "layers.csv"
    run(capsys, "psp_64_4", "--compare", "psp_128_8", "--csv", str(file))
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [row["network"] for row in rows] == ["psp_64_4"] * 10 + ["psp_128_8"] * 18
    cost = simulate(named("psp_64_4"), load("date2024_22nm"))
    energy = sum(float(row["energy_j"]) for row in rows[:10])
    assert energy == pytest.approx(cost.energy, rel=1e-5)
    assert sum(int(row["shift_cycles"]) for row in rows[:10]) == cost.shift.cycles


def test_compares_networks_and_says_what_cannot_be(capsys):
    arguments = ("psp_128_8", "--compare", "resnet110", "vgg8", "--config", "date2024")
    found = as_json(capsys, *arguments)
    equal = "it is the technology's, not the design's"
    nodes = f"node_nm must be equal, not 22 nm and 32 nm: {equal}"
    assert found["warnings"] == [
        "shiftresnet110 is simulated for resnet110, as date2024 says",
        f"psp_128_8 and resnet110 cannot be compared: {nodes}",
        f"psp_128_8 and vgg8 cannot be compared: {nodes}",
    ]
    out = run(capsys, *arguments)
    assert all(f"  warning: {warning}\n" in out for warning in found["warnings"])
    note = "weights are unknown: each level of a cell is taken as equally frequent"
    assert f"\n  note: vgg8: {note}\n" in out
    alike = as_json(capsys, *arguments[:-2])
    assert alike["warnings"] == []
    assert [chip["network"] for chip in alike["chips"]] == ["psp_128_8", "resnet110", "vgg8"]


def test_warnings_name_a_network_as_the_table_does(capsys):
    out = run(capsys, INT8, "--compare", "psp_64_4", "model/zoo/psp_64_4_int4")
    told = [line for line in out.splitlines() if line.startswith("  warning: ")]
    assert told[0].startswith("  warning: the energy of psp_64_4_int8 follows its own integers")
    assert any(" psp_64_4_int8 and psp_64_4_int4 cannot be compared: " in line for line in told)
    assert not any("model/zoo" in line for line in told)


@pytest.mark.parametrize("name", ["date2024", "date2024_22nm"])
def test_the_densenet_of_the_table_is_the_same_by_both_of_its_names(name):
    both = [load(name).for_network(f"densenet40_12{end}") for end in ("", "_dense")]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["resnet10"],
            f"name must be one of {KNOWN}, not 'resnet10'; the nearest is resnet110",
        ),
        (
            ["psp_64_4", "--config", "date2042"],
            f"{CONFIGS}, not 'date2042'; the nearest is date2024",
        ),
        (
            ["no/such"],
            f"{SOURCES}, not 'no/such'",
        ),
        (["psp_99999999_4"], "width must be an integer from 12 to 4096, not 99999999"),
        (["psp_64_999999999"], "depth must be an integer from 1 to 256, not 999999999"),
        (
            ["psp_064_4"],
            f"name must be one of {KNOWN}, not 'psp_064_4'; the nearest is psp_64_4",
        ),
        (["psp_64_0"], "depth must be an integer from 1 to 256, not 0"),
        (
            ["psp_64_4", "--csv", "hw/../x", "--html", "x"],
            "--csv and --html must be two files, not both x",
        ),
        (
            ["psp_64_4", "--json", "--totals"],
            "--totals must come without --json, which has everything",
        ),
        (["none.json"], "none.json must be a readable file: No such file or directory"),
        (["hw"], "hw/intnet.json must be a readable file: No such file or directory"),
        ([""], f"{SOURCES}, not ''"),
        (
            ["psp_64_4", "--csv", ""],
            "argument --csv: must name a file or folder, not be empty (see --help)",
        ),
        ([], "the following arguments are required: network (see --help)"),
        (["psp_64_4", "--csv", "hw"], "hw must be writable: Is a directory"),
        (
            ["psp_64_4", "--csv", "none/x", "--html", "README.md/a"],
            "README.md/a must be writable: Not a directory",
        ),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, line):
    assert refused(capsys, *arguments) == line


@pytest.mark.parametrize("output", ["--csv", "--html"])
def test_no_output_replaces_what_is_read(capsys, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    Path("own.json").write_text(layers_to_json(layer_shapes("psp_12_1")))
    Path("mine.toml").write_text('about = "mine"\nextends = "twofold"\n')
    shutil.copytree(ZOO / "psp_64_4_int8", "net")
    Path("link").symlink_to("own.json")
    counters = Path("counters.json")
    counters.write_text("{}")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    for arguments, written in (
        (["own.json"], "./own.json"),
        (["own.json"], "link"),
        (["psp_64_4", "--compare", "own.json"], "own.json"),
        (["psp_64_4", "--config", "mine.toml"], "mine.toml"),
        (["net"], "net/intnet.json"),
        (["net"], "net/intnet.safetensors"),
        (["net", "--counters", "counters.json"], "counters.json"),
    ):
        line = f"{output} must be another file than {Path(written)}, which is read"
        assert refused(capsys, *arguments, output, written) == line
    assert before == {file: file.read_bytes() for file in before}
    assert run(capsys, "own.json", output, "other", "--totals").endswith("other\n")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 J"), (1.2344e-6, "1.23 µJ"), (9.996e-6, "10.0 µJ"), (99.96e-9, "100 nJ"),
     (0.9996e-3, "1.00 mJ"), (0.99e-18, "0.99 aJ"), (1234, "1234 J")],
)  # fmt: skip
def test_numbers_have_three_digits(value, shown):
    assert si(value, "J") == shown

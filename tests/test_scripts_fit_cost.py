# SPDX-License-Identifier: Apache-2.0
"""The fit of the cost model's constants: it finds known ones, and stored ones are what it finds."""

import dataclasses
import random

import numpy as np
import pytest

from model.cost.simulate import simulate
from model.cost.technology import CONSTANTS_FILE, Constants, load_constants
from scripts import cost_runs, fit_cost
from scripts.cost_runs import Run, errors, load_runs
from scripts.fit_cost import fit

RUNS = load_runs()
FITTED = fit(RUNS)


def made_up(constants, settings):
    """Runs whose figures the model itself made with given constants."""
    runs = []
    for network, config in settings:
        cost = simulate(network, config, constants=constants)
        figures = {name: cost_runs.figure(cost, name) for name in RUNS[0].figures}
        runs.append(Run(network, config, figures))
    return runs


def varied():
    """The reference runs' settings, and more, so that each constant tells."""
    for run in RUNS:
        yield run.network, run.config
    base = RUNS[4]
    for change in ({"act_bits": 4}, {"array_rows": 256, "array_columns": 256}, {"adc_levels": 128},
                   {"cell_bits": 4}, {"activations": "relu"}, {"node_nm": 65.0}):  # fmt: skip
        yield base.network, dataclasses.replace(base.config, **change)


def test_known_constants_are_found():
    # Each constant of the stored ones changed by up to 30 %.
    choose = random.Random(1)
    stored = dataclasses.asdict(load_constants())
    known = Constants(**{name: value * choose.uniform(0.7, 1.3) for name, value in stored.items()})
    found = fit(made_up(known, varied()))
    for name, value in dataclasses.asdict(known).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-3), name


@pytest.fixture
def fitted(monkeypatch):
    """The fit of the reference runs, once for several tests."""
    monkeypatch.setattr(fit_cost, "fit", lambda runs: FITTED)


def test_stored_constants_are_what_the_runs_tell(capsys):
    assert fit_cost.main(["--check"]) == 0
    assert capsys.readouterr().out == "the stored constants are what the reference runs tell\n"


def test_a_changed_constant_is_named(fitted, monkeypatch, capsys):
    stored = load_constants()
    wrong = dataclasses.replace(stored, row_energy=stored.row_energy * 1.001)
    monkeypatch.setattr(fit_cost, "load_constants", lambda: wrong)
    assert fit_cost.main(["--check"]) == 1
    assert capsys.readouterr().out == (
        f"row_energy must be {stored.row_energy:.6g} as fitted, not {wrong.row_energy:.6g}\n"
    )


def test_the_file_is_made_of_the_fit_alone():
    assert fit_cost.text(FITTED, RUNS) == CONSTANTS_FILE.read_text("utf-8")


def test_update_stores_the_fit(fitted, tmp_path, monkeypatch, capsys):
    file = tmp_path / "constants.toml"
    document = tmp_path / "cost-model.md"
    document.write_text("<!-- fit -->\n<!-- /fit -->\n<!-- left-out -->\n<!-- /left-out -->\n")
    monkeypatch.setattr(fit_cost, "CONSTANTS_FILE", file)
    monkeypatch.setattr(fit_cost, "DOCUMENT", document)
    monkeypatch.setattr(fit_cost, "leave_one_out", lambda runs: [errors(r, FITTED) for r in runs])
    assert fit_cost.main(["--update"]) == 0
    assert file.read_bytes() == CONSTANTS_FILE.read_bytes()
    made = fit_cost.table([errors(run, FITTED) for run in RUNS], RUNS)
    assert document.read_text("utf-8").count(made) == 2
    assert f"{made}\n\nleft out, then predicted:\n\n{made}\n" == capsys.readouterr().out


def test_the_document_holds_what_the_fit_misses():
    made = fit_cost.table([errors(run, load_constants()) for run in RUNS], RUNS)
    assert f"<!-- fit -->\n{made}\n<!-- /fit -->" in fit_cost.DOCUMENT.read_text("utf-8")


@pytest.mark.slow  # as many fits as runs
def test_a_run_that_is_left_out_is_predicted_by_the_others():
    # Each varies a setting or is a network that the other runs do not have.
    for run, found in zip(RUNS, fit_cost.leave_one_out(RUNS), strict=True):
        assert abs(found["clock total"]) < 0.03, run
        for name in ("area total", "latency total", "energy total"):
            assert abs(found[name]) < 0.055, (run, name)


def test_groups_of_a_run_make_its_totals():
    for run in RUNS:
        for quantity in ("area", "latency", "energy"):
            parts = [
                value
                for name, value in run.figures.items()
                if name.startswith(quantity) and not name.endswith("total")
            ]
            counted = sum(parts)
            assert counted == pytest.approx(run.figures[f"{quantity} total"], rel=1e-4)


def test_efficiency_of_the_runs_holds_the_unexplained_factor():
    for run in RUNS:
        operations = sum(layer.unstrided_operations for layer in run.network.layers)
        plain = operations / run.figures["energy total"] * 1e-12
        assert plain / run.figures["efficiency total"] == pytest.approx(1.22, rel=0.005)


def test_least_squares_takes_no_negative_and_the_fewest():
    # 3·x = 1 twice, and a second column that only a negative value would serve.
    found, loss = fit_cost._least_squares(np.array([[3.0, 1.0], [3.0, 1.0]]), np.ones(2))
    assert found == pytest.approx([1 / 3, 0])
    assert loss == pytest.approx(0, abs=1e-20)
    found, loss = fit_cost._least_squares(np.array([[1.0, 1.0], [1.0, 3.0]]), np.ones(2))
    assert found == pytest.approx([1, 0])
    found, _ = fit_cost._least_squares(np.array([[1.0, 1.0], [2.0, 1.0]]), np.ones(2))
    # x + y = 1 and 2x + y = 1: exactly (0, 1).
    assert found == pytest.approx([0, 1])
    found, loss = fit_cost._least_squares(np.array([[1.0], [2.0]]), np.array([0.5, 1.0]))
    assert found == pytest.approx([0.5])
    assert loss == pytest.approx(0, abs=1e-20)


def test_the_least_of_a_valley_is_found():
    assert fit_cost._golden(lambda x: (x - 0.7) ** 2, 0.0, 2.0) == pytest.approx(0.7, abs=1e-4)
    assert fit_cost._golden(lambda x: x, 1.0, 2.0) == pytest.approx(1.0, abs=1e-4)


def test_tables_have_a_row_a_figure_and_a_column_a_run():
    found = [errors(run, load_constants()) for run in RUNS]
    lines = fit_cost.table(found, RUNS).splitlines()
    assert len(lines) == 2 + len(RUNS[0].figures)
    assert all(line.count("|") == len(RUNS) + 2 for line in lines)
    cells = [cell.strip() for cell in lines[3].split("|")]
    assert cells[1] == "area total"
    assert [float(cell) for cell in cells[2:-1]] == [
        round(100 * each["area total"], 1) for each in found
    ]
    assert "| psp_128_4, 128×128 | psp_128_4, 32 nm | psp_128_4, 64 levels |" in lines[0]


def test_bad_arguments_are_one_line(capsys):
    with pytest.raises(SystemExit) as caught:
        fit_cost.main(["--check", "--update"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1

# SPDX-License-Identifier: Apache-2.0
"""Keys that are set on the command line: what they move, what they do not, what they may be."""

import pytest
from cost_command import as_json, refused, run
from costs import config

from model.cost.config import Config, ConfigError
from model.cost.overrides import SOURCE, override

INT8 = "model/zoo/psp_64_4_int8"


def test_keys_are_set_for_all_networks(capsys):
    both = ("psp_64_4", "--compare", "vgg8", "--config", "date2024")
    settings = ("--set", "node_nm=28", "--set", "clock_hz=1e9", "--set", "shift=fused")
    found = as_json(capsys, *both, *settings)
    for chip in found["chips"]:
        stored = chip["config"]["keys"]
        assert stored["node_nm"]["value"] == 28
        assert stored["node_nm"]["source"] == SOURCE
        assert chip["clock_hz"] == pytest.approx(1e9)
        assert chip["shift"]["cycles"] == 0


def test_settings_that_move_nothing_are_told(capsys):
    keys = ("ron_ohm=5e3", "pulse_s=1e-8", "shift_clock_hz=1e8", "adc_levels=128")
    settings = [part for key in keys for part in ("--set", key)]
    found = as_json(capsys, "psp_64_4", "--config", "shiftbar", *settings)
    assert found["warnings"] == [
        "ron_ohm does not move the energy of a read: cell_energy_j states it",
        "adc_levels does not move the energy of a conversion: adc_energy_j states it",
        "shift_clock_hz does not move any total: a fused shift takes nothing",
        "pulse_s does not move any figure: no term has it",
    ]
    gated = "no row is gated: which ones masks would gate follows from weights"
    assert gated in found["chips"][0]["assumptions"]
    # What it says is so.
    plain = as_json(capsys, "psp_64_4", "--config", "shiftbar")["chips"][0]
    (chip,) = as_json(capsys, "psp_64_4", "--config", "shiftbar", *settings[:6])["chips"]
    assert {k: v for k, v in chip.items() if k not in ("config", "shift_modes")} == {
        k: v for k, v in plain.items() if k not in ("config", "shift_modes")
    }
    acting = ("--set", "ron_ohm=5e3", "--set", "adc_levels=128", "--set", "shift_clock_hz=1e8")
    assert as_json(capsys, "psp_64_4", *acting)["warnings"] == []


@pytest.mark.parametrize(
    ("network", "settings", "warnings"),
    [
        ("vgg8", ("shift=fused", "shift_energy_j=1e-12"),
         ["shift and shift_energy_j do not move any figure of vgg8: nothing is shifted"]),
        (INT8, ("activations=relu",),
         ["activations does not move any figure of psp_64_4_int8: they are measured"]),
        ("psp_64_4", ("clock_hz=1e11",),
         ["clock_hz should be at most 5.32e+08 Hz, the ADC's as it is modelled, not 1e+11"]),
        ("psp_64_4", ("adc_levels=65536",),
         ["adc_levels should be from 2 to 256, where the model is tested, not 65536"]),
        ("psp_64_4", ("array_rows=8", "array_columns=8", "node_nm=250"),
         ["node_nm should be from 7 to 130, where the model is tested, not 250",
          "array_rows should be from 16 to 512, where the model is tested, not 8",
          "array_columns should be from 16 to 512, where the model is tested, not 8"]),
        # All of these act, and can be.
        ("psp_64_4", ("activations=relu", "shift=fused", "clock_hz=5.3e8", "adc_levels=32"),
         ["adc_levels does not move the clock: clock_hz states it"]),
        ("psp_64_4", ("activations=relu", "shift=in_place", "shift_energy_j=1e-12"), []),
    ],
)  # fmt: skip
def test_settings_without_effect_and_out_of_reach_are_told(capsys, network, settings, warnings):
    options = [part for setting in settings for part in ("--set", setting)]
    found = as_json(capsys, network, *options)
    assert found["warnings"] == warnings
    # The first two are without effect, the others are not.
    plain, chip = (each["chips"][0] for each in (as_json(capsys, network), found))
    assert (plain["layers"] == chip["layers"]) == (network in ("vgg8", INT8))


@pytest.mark.parametrize(
    ("settings", "saturates"),
    [(("adc_levels=192",), True), (("adc_levels=193",), False), (("cell_bits=8",), True),
     (("cell_bits=1", "adc_levels=64"), True), (("cell_bits=1", "adc_levels=65"), False)],
)  # fmt: skip
def test_an_adc_that_saturates_is_told(capsys, settings, saturates):
    options = [part for setting in settings for part in ("--set", setting)]
    out = run(capsys, "psp_64_4", "--totals", *options)
    assert ("  note: ADCs of " in out) == saturates


def test_an_optional_key_and_a_list_are_set():
    chosen = override(config(), ["cell_energy_j=0,1e-15,2e-15,3e-15", "adc_energy_j=1e-12"])
    assert chosen.cell_energy_j == (0, 1e-15, 2e-15, 3e-15)
    assert isinstance(chosen, Config)
    assert override(chosen, ["adc_energy_j=none"]).adc_energy_j is None
    assert config().sources.get("adc_energy_j") != SOURCE
    with pytest.raises(ConfigError, match="^cell_energy_j must be a number from 0 to 1e-09 J, "
                                          "not 'x'$"):  # fmt: skip
        override(config(), ["cell_energy_j=0,x,0,0"])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (["adc_levels"], "set must be key=value, not 'adc_levels'"),
        (["adc_level=64"], "set must name a key, not 'adc_level'; the nearest is adc_levels"),
        (["zzz=1"], "set must name a key, not 'zzz'"),
        (["adc_levels=1.5"], "adc_levels must be an integer from 2 to 65536, not 1.5"),
        (["adc_levels="], "adc_levels must be an integer from 2 to 65536, not ''"),
        (["node_nm=nan"], "node_nm must be a number from 5 to 250 nm, not nan"),
        (["node_nm=-22"], "node_nm must be a number from 5 to 250 nm, not -22"),
        (["node_nm=22nm"], "node_nm must be a number from 5 to 250 nm, not '22nm'"),
        (["array_rows=6_4"], "array_rows must be an integer from 2 to 4096, not '6_4'"),
        (["array_rows=٦٤"], "array_rows must be an integer from 2 to 4096, not '٦٤'"),
        (["array_rows= 64"], "array_rows must be an integer from 2 to 4096, not ' 64'"),
        (["array_rows=+64"], "array_rows must be an integer from 2 to 4096, not '+64'"),
        (["node_nm=2_2.5"], "node_nm must be a number from 5 to 250 nm, not '2_2.5'"),
        (["node_nm=none"], "node_nm must be a number from 5 to 250 nm, not 'none'"),
        (["shift=lane"], 'shift must be "fused", "lanes" or "in_place", not \'lane\''),
        (["cell_bits=9"], "cell_bits must be an integer from 1 to 8, not 9"),
        (["node_nm=22", "node_nm=28"], "node_nm must be set once, not twice"),
        (["array_rows=48"], "array_rows must be a power of two with the reference mapping, not 48"),
        (["columns_per_adc=65"], "columns_per_adc must be at most array_columns 64, not 65"),
    ],
)
def test_a_wrong_setting_is_one_line(capsys, settings, line):
    options = [part for setting in settings for part in ("--set", setting)]
    assert refused(capsys, "psp_64_4", *options) == line

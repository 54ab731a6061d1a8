# SPDX-License-Identifier: Apache-2.0
"""Configurations in files: what is taken, and every refusal with its line, key and nearest name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.cost.config import ConfigError
from model.cost.config_file import NAMES, load
from model.layers import NAMES as NETWORKS

KNOWN = ", ".join(NETWORKS)
PUBLISHED = ", ".join(NAMES)
NEAREST_BASE = "; the nearest is date2024_22nm"
NEAREST = "; the nearest is shiftresnet110"
SHORT = """\
about = "64 levels"
extends = "date2024_22nm"

[adc_levels]
value = 64
unit = "1"  # codes
source = "mine"

[shift]
value = "fused"
source = "mine"

[networks.vgg8.node_nm]
value = 32
unit = "nm"
source = "mine"

[networks.resnet110]
simulated = "shiftresnet110"
"""


def put(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def refused(path):
    with pytest.raises(ConfigError) as error:
        load(str(path))
    assert str(error.value).startswith(str(path))
    return str(error.value).removeprefix(str(path))


def test_takes_a_short_file(tmp_path):
    found = load(str(put(tmp_path, SHORT)))
    base = load("date2024_22nm")
    assert (found.name, found.adc_levels, found.shift) == ("mine", 64, "fused")
    assert found.array_rows == base.array_rows
    assert (found.sources["shift"], found.sources["node_nm"]) == ("mine", base.sources["node_nm"])
    assert found.for_network("vgg8").node_nm == 32
    assert found.simulated("resnet110") == "shiftresnet110"


def test_keeps_what_the_published_one_has_for_networks(tmp_path):
    text = SHORT.replace("date2024_22nm", "date2024").replace("value = 32", "value = 45")
    found = load(str(put(tmp_path, text)))
    vgg = found.for_network("vgg8")
    assert (vgg.node_nm, vgg.array_rows) == (45, 32)
    assert found.for_network("densenet40_12").array_rows == 32
    assert (vgg.sources["node_nm"], vgg.sources["array_columns"]) == ("mine", "as array_rows")
    assert found.simulated("resnet110") == "shiftresnet110"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("[adc_levels]", "[adc_levls]",
         ", line 4: adc_levls must be a key of a configuration; the nearest is adc_levels"),
        ("[adc_levels]", "[zzz]", ", line 4: zzz must be a key of a configuration"),
        ("about", "abuot",
         ", line 1: abuot must be a key of a configuration; the nearest is about"),
        ("value = 64", "valeu = 64",
         ", line 5: valeu must be a key of adc_levels; the nearest is value"),
        ("value = 64\n", "",
         ", line 4: adc_levels must have value, unit, source, not be without value"),
        ("value = 64", "value = -64",
         ", line 5: adc_levels must be an integer from 2 to 65536, not -64"),
        ("value = 64", "value = 1979-05-27",
         ", line 5: adc_levels must be an integer from 2 to 65536, not datetime.date(1979, 5, 27)"),
        ('unit = "1"', 'unit = "bits"',
         ', line 6: adc_levels must have the unit "1", not \'bits\''),
        ('unit = "1"', "unit = 1", ', line 6: adc_levels must have the unit "1", not 1'),
        ('unit = "1"  # codes\n', "",
         ", line 4: adc_levels must have value, unit, source, not be without unit"),
        ('source = "mine"\n\n[shift]', 'source = ""\n\n[shift]',
         ", line 7: source must be a text of 1 to 1000 characters, not ''"),
        ('value = "fused"', 'value = "fussed"',
         ', line 10: shift must be "fused", "lanes" or "in_place", not \'fussed\''),
        ('value = "fused"', 'value = "fused"\nunit = "1"',
         ", line 11: unit must be a key of shift"),
        ("[shift]", "[networks.vgg8]\n[shift]", ": (TOML)"),
        ('"date2024_22nm"', '"date2024_22"',
         f", line 2: extends must be one of {PUBLISHED}, not 'date2024_22'{NEAREST_BASE}"),
        ('"date2024_22nm"', "7",
         ", line 2: extends must be a text of 1 to 1000 characters, not 7"),
        ('extends = "date2024_22nm"\n', "",
         ": array_rows must be there: rows of a crossbar"),
        # What else is wrong is not hidden by a missing text.
        ('about = "64 levels"\nextends = "date2024_22nm"', "extends = 7",
         ", line 1: extends must be a text of 1 to 1000 characters, not 7"),
        ('about = "64 levels"\n', "",
         ": about must be there: what the design point is"),
        ("[networks.vgg8.node_nm]", "[networks.vgg9.node_nm]",
         f", line 13: networks: name must be one of {KNOWN}, not 'vgg9'; the nearest is vgg8"),
        ('"shiftresnet110"', '"shiftresnet"',
         f", line 19: networks: name must be one of {KNOWN}, not 'shiftresnet'{NEAREST}"),
        ("simulated", "simulate",
         ", line 19: simulate must be a key of networks.resnet110; the nearest is simulated"),
        ("[networks.vgg8.node_nm]", "[networks.vgg8.node]",
         ", line 13: node must be a key of networks.vgg8; the nearest is node_nm"),
        ("value = 32", "value = 32000",
         ", line 14: node_nm must be a number from 5 to 250 nm, not 32000"),
        # What does not go together is found, too: where, as far as the file says.
        ("[adc_levels]\nvalue = 64", "[columns_per_adc]\nvalue = 128",
         ", line 5: columns_per_adc must be at most array_columns 64, not 128"),
        ('node_nm]\nvalue = 32\nunit = "nm"', 'roff_ohm]\nvalue = 5e3\nunit = "ohm"',
         ", line 13: ron_ohm must be less than roff_ohm 5000, not 6000"),
        ("[shift]\nvalue = \"fused\"\nsource = \"mine\"", "", None),
        ("[adc_levels]\nvalue = 64\nunit = \"1\"  # codes\nsource = \"mine\"\n", "adc_levels = 64",
         ", line 4: adc_levels must be a table, not int"),
        ("[networks.resnet110]", "[networks]\nresnet110 = 3\n[networks.resnet56]",
         ", line 19: resnet110 must be a table, not int"),
    ],
)  # fmt: skip
def test_refuses_what_is_wrong(tmp_path, before, after, message):
    assert SHORT.count(before) == 1
    path = put(tmp_path, SHORT.replace(before, after))
    if message is None:
        assert load(str(path)).shift == "lanes"
    elif message == ": (TOML)":
        assert load(str(path)).adc_levels == 64  # an empty table says nothing, and may come early
    else:
        assert refused(path) == message


def test_other_forms_of_the_same_toml_have_their_lines(tmp_path):
    text = (
        'about = "x"\nextends = "twofold"\n\nadc_levels = { value = 1, unit = "1", source = "s" }'
    )
    wrong = "adc_levels must be an integer from 2 to 65536, not 1"
    assert refused(put(tmp_path, text)) == f", line 4: {wrong}"
    text = text.replace(
        'adc_levels = { value = 1, unit = "1", source = "s" }',
        'adc_levels.source = "s"\nadc_levels.unit = "1"\nadc_levels.value = 1',
    )
    assert refused(put(tmp_path, text)) == f", line 6: {wrong}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('about = "x', " must be TOML: Illegal character '\\n' (at line 1, column 11)"),
        ("[a]\n[a]\n", " must be TOML: Cannot declare ('a',) twice (at line 2, column 3)"),
        ("x = " + "[" * 100000, " must be TOML: it is nested too deeply"),
        (f"x = {'9' * 5000}", " must be TOML: a number is too long"),
        (f"x = [{{y = 0x{'f' * 5000}}}]", " must be TOML: a number is too long"),
        ("# " + "x" * (1 << 20), " must have at most 1048576 bytes"),
    ],
)
def test_refuses_other_text(tmp_path, text, message):
    found = refused(put(tmp_path, text + "\n"))
    assert "\n" not in found
    assert found == message


def test_refuses_other_files(tmp_path):
    assert refused(tmp_path / "none.toml") == " must be a readable file: No such file or directory"
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    assert refused(path).startswith(" must be TOML: 'utf-8' codec can't decode byte 0xff")


@pytest.mark.parametrize(
    ("name", "nearest"), [("date2042", "; the nearest is date2024"), ("isaac", "")]
)
def test_an_unknown_name_gets_the_nearest(name, nearest):
    message = f"config must be one of {PUBLISHED} or a file .toml, not '{name}'{nearest}"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        load(name)


def test_the_published_ones_are_all_there():
    assert NAMES == ("date2024", "date2024_22nm", "integer_only", "shiftbar", "twofold")


@given(st.text(max_size=200))
def test_any_text_is_taken_or_refused_in_one_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(ConfigError) as error:
        load(str(path))
    assert len(str(error.value)) < len(str(path)) + 400

# SPDX-License-Identifier: Apache-2.0
"""The command of the cost simulator as tests run it: what it prints, or its one line of refusal."""

import json

import pytest

from model.cost.__main__ import main


def run(capsys, *arguments):
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert err.count("\n") == 1
    return err.removeprefix("python -m model.cost: error: ").rstrip("\n")


def as_json(capsys, *arguments):
    return json.loads(run(capsys, *arguments, "--json"))

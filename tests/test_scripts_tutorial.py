# SPDX-License-Identifier: Apache-2.0
"""The tutorial works as it is printed; and a session that does not is noticed, line by line."""

import time

import pytest

from cosim import simulators
from scripts import tutorial
from scripts.tutorial import SessionError, commands, difference, run, updated

PAGE = """# Page

```sh
not run
```

```console
$ x=5
$ echo one; echo $x of \\
    them
one
5 of them
```

<!-- toolchain -->
```console
$ seq 4
1
…
4
```
"""


def ran(page, tmp_path):
    found = commands(page)
    return list(zip(found, run([each.text for each in found], tmp_path), strict=True))


@pytest.mark.slow  # minutes: a network is trained, and run in RTL
def test_the_tutorial():
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    assert tutorial.main([]) == 0


def test_what_is_read_of_a_page():
    found = [(each.text, each.output, each.toolchain) for each in commands(PAGE)]
    assert found == [
        ("x=5", "", False),
        ("echo one; echo $x of \\\n    them", "one\n5 of them\n", False),
        ("seq 4", "1\n…\n4\n", True),
    ]


def test_a_session_as_it_is_printed(tmp_path):
    assert [difference(*each) for each in ran(PAGE, tmp_path)] == ["", "", ""]
    assert updated(PAGE, ran(PAGE, tmp_path)) == PAGE


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("5 of them", "6 of them", "`echo one; echo $x of them` must print '6 of them'"),
        ("one\n5", "5", "`echo one; echo $x of them` must print '5 of them'"),
        ("5 of them", "5 of them\nmore", "`echo one; echo $x of them` must print 'more'"),
        ("\n5 of them", "", "`echo one; echo $x of them` must print nothing after 'one'"),
        ("one\n5 of them\n", "", "`echo one; echo $x of them` must print nothing"),
        ("…\n4", "…\n5", "`seq 4` must print '5'"),
        ("…\n4", "4", "`seq 4` must print '4'"),
        ("1\n…\n4", "1\n…\n3", "`seq 4` must print nothing after '3'"),
    ],
)
def test_a_changed_line_is_noticed_and_mended(tmp_path, right, wrong, message):
    changed = PAGE.replace(right, wrong)
    assert changed != PAGE
    found = ran(changed, tmp_path)
    assert [text for each in found if (text := difference(*each))] == [message]
    mended = updated(changed, found)
    assert mended in (PAGE, PAGE.replace("…", "2\n3"))


def test_anything_within_a_line(tmp_path):
    page = "```console\n$ echo took 5.2 s, of 9\ntook … s, of …\n```\n"
    assert [difference(*each) for each in ran(page, tmp_path)] == [""]
    assert difference(commands(page)[0], "took 5.2 s\n") == (
        "`echo took 5.2 s, of 9` must print 'took … s, of …'"
    )


def test_what_fails_is_told(tmp_path, monkeypatch):
    with pytest.raises(SessionError, match=r"^`false` must succeed, not end with 1$"):
        run(["true", "false", "touch never"], tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(SessionError, match=r"^`exit` must leave the shell running$"):
        run(["true", "exit", "true"], tmp_path)
    with pytest.raises(SessionError, match=r"^a session must begin with a command, not 'output'$"):
        commands("```console\noutput\n```\n")
    monkeypatch.setattr(tutorial, "LIMIT", 0.5)
    with pytest.raises(SessionError, match=r"^all commands must end within 0\.5 s$"):
        run(["sleep 60"], tmp_path)


def test_processes_in_the_background_end_with_the_session(tmp_path):
    assert run(["(sleep 1; touch late) > log &", "echo here"], tmp_path) == ["", "here\n"]
    time.sleep(1.5)
    assert [file.name for file in tmp_path.iterdir()] == ["log"]


def test_the_command(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("5 of", "6 of"))
    monkeypatch.setattr(tutorial, "TUTORIAL", page)
    monkeypatch.setattr(tutorial, "_has_toolchain", lambda: False)
    assert tutorial.main([]) == 1
    assert capsys.readouterr().err == (
        "python -m scripts.tutorial: error: page.md: "
        "`echo one; echo $x of them` must print '6 of them'\n"
    )
    assert tutorial.main(["--update"]) == 0
    assert page.read_text() == PAGE
    assert capsys.readouterr().out == "page.md: 2 commands, without place and route\n"

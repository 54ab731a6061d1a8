# SPDX-License-Identifier: Apache-2.0
"""What became of seeded faults, and the file that keeps it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from hw import disk

__all__ = ["Verdict", "read_verdicts", "write_verdicts"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a fault: caught (by what), without an effect (why), or missed."""

    design: str
    block: str
    fault: str
    outcome: str
    by: str


def read_verdicts(file: Path) -> list[Verdict]:
    """Read the verdicts that were stored; none, where there is no file."""
    if not file.exists():
        return []
    return [Verdict(**each) for each in json.loads(file.read_text(encoding="utf-8"))]


def write_verdicts(file: Path, verdicts: Sequence[Verdict]) -> None:
    """Store verdicts in the place of those in the file."""
    text = json.dumps([dataclasses.asdict(each) for each in verdicts], indent=1, ensure_ascii=False)
    disk.replace(file, f"{text}\n".encode())

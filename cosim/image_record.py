# SPDX-License-Identifier: Apache-2.0
"""What `cosim.all_images` has compared, in a file that a killed run goes on from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hw import disk
from hw.params import ParameterError

__all__ = ["Record"]

MAX_BYTES = 1 << 20
"""Of a file to go on from."""


@dataclasses.dataclass
class Record:
    """What has been compared, chunk by chunk.

    Parameters
    ----------
    run : dict
        What the comparison depends on: network, RTL, images, by name and hash.
    logits : dict of str to str
        Of each chunk that is done, by the number of its first image: sha256 of the logits, int32
        little-endian [images, classes], the same from RTL and golden executor.
    correct : dict of str to int
        Images of each that the network classifies rightly.
    """

    run: dict[str, Any]
    logits: dict[str, str] = dataclasses.field(default_factory=dict)
    correct: dict[str, int] = dataclasses.field(default_factory=dict)

    def write(self, file: Path) -> None:
        """Write the file, chunks in their order."""
        for name in ("logits", "correct"):
            chunks = getattr(self, name)
            setattr(self, name, dict(sorted(chunks.items(), key=lambda chunk: int(chunk[0]))))
        text = json.dumps(dataclasses.asdict(self), indent=1) + "\n"
        disk.replace(file, text.encode())

    @classmethod
    def read(cls, file: Path, run: Mapping[str, Any]) -> Record:
        """Return what a file holds of this run; nothing, if there is no file.

        Raises
        ------
        ParameterError
            If it is of another run, or no such file.
        """
        try:
            with file.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
            found = cls(**json.loads(data)) if len(data) <= MAX_BYTES else None
        except FileNotFoundError:
            return cls(dict(run))
        except (OSError, TypeError, ValueError, RecursionError):
            found = None
        if found is None or not found.sound():
            raise ParameterError(f"--out must be new or a file of this command, not {file}")
        for name, value in run.items():
            if found.run.get(name) != value:
                was = str(found.run.get(name))
                raise ParameterError(
                    f"--out must be new or of the same run, not {file}: {name} there is "
                    f"{was:.80}, here {value}"
                )
        return found

    def sound(self) -> bool:
        """Whether all parts are of their types: of a file, anything may be in it."""
        parts = (self.run, self.logits, self.correct)
        if not all(isinstance(part, dict) for part in parts):
            return False
        return (
            self.logits.keys() == self.correct.keys()
            and all(key.isascii() and key.isdecimal() for key in self.logits)
            and all(isinstance(digest, str) for digest in self.logits.values())
            and all(type(count) is int for count in self.correct.values())
        )

    def summary(self) -> dict[str, Any]:
        """Return what is printed."""
        images, correct = self.run["images"], sum(self.correct.values())
        return {
            "network": self.run["network"],
            "digest": self.run["digest"],
            "images": images,
            "logits": images * self.run["classes"],
            "mismatches": 0,
            "cycles": images * self.run["cycles_an_image"],
            "correct": correct,
            "accuracy": round(100 * correct / images, 2),
        }

# SPDX-License-Identifier: Apache-2.0
"""The journal of a sweep: each point that was simulated, in Optuna's journal storage.

Several processes append to one file. What a killed one leaves is whole lines, so a sweep goes on
from any moment, and Optuna's own tools can show it. A leaf; Optuna is imported where it is needed.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw.params import ParameterError
from model.cost.config import Config, keys
from model.cost.space import Cost, Point

if TYPE_CHECKING:
    import optuna

__all__ = ["Journal"]

NAME = "sweep"
MAX_BYTES = 256 << 20
_SHIFTS = ("fused", "in_place", "lanes")
# What Optuna raises when it replays lines that it did not write.
_REPLAY = (ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError,
           NotImplementedError, OverflowError, RuntimeError)  # fmt: skip


class Journal:
    """The stored points of one sweep.

    Parameters
    ----------
    file : Path
        Made if missing.
    base : Config
        The design that the points vary.

    Raises
    ------
    ParameterError
        If Optuna is missing, or the file is no journal of a sweep of this design.
    """

    def __init__(self, file: Path, base: Config) -> None:
        self.file = file
        design = json.dumps({key.name: getattr(base, key.name) for key in keys()})
        try:
            import optuna
        except ImportError:
            raise ParameterError(
                "optuna must be installed to sweep: pip install 'shiftbar[sweep]'"
            ) from None
        from optuna.storages.journal import JournalFileBackend

        self._optuna = optuna
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if file.exists():
            self._mend()
        try:
            self._study = optuna.create_study(
                storage=optuna.storages.JournalStorage(JournalFileBackend(str(file))),
                study_name=NAME,
                directions=["minimize"] * len(Cost._fields),
                load_if_exists=True,
            )
            stored = self._study.user_attrs.get("design")
            if stored is None and not self._study.get_trials(deepcopy=False):
                self._study.set_user_attr("design", design)
                stored = design
        except _REPLAY as error:
            raise self._broken(error) from None
        if stored != design:
            raise ParameterError(f"{file} must be of a sweep with the same --config")

    def _broken(self, error: object) -> ParameterError:
        return ParameterError(f"{self.file} must be the journal of a sweep: {error!r:.200}")

    def _mend(self) -> None:
        """Drop the line that a killed process did not finish: the next would be joined to it."""
        from optuna.storages.journal import JournalFileSymlinkLock

        if (size := self.file.stat().st_size) > MAX_BYTES:
            raise ParameterError(f"{self.file} must have at most {MAX_BYTES} bytes, not {size}")
        lock = JournalFileSymlinkLock(str(self.file))
        lock.acquire()
        try:
            with self.file.open("r+b") as file:
                data = file.read()
                if (end := data.rfind(b"\n") + 1) < len(data):
                    file.truncate(end)
        finally:
            lock.release()

    def read(self) -> dict[Point, Cost]:
        """Return what is stored.

        Raises
        ------
        ParameterError
            If something else is.
        """
        try:
            trials = self._study.get_trials(deepcopy=False)
        except _REPLAY as error:
            raise self._broken(error) from None
        return dict(map(self._entry, trials))

    def _entry(self, trial: optuna.trial.FrozenTrial) -> tuple[Point, Cost]:
        values = trial.values or []
        good = (
            set(trial.params) == set(Point._fields)
            and len(values) == len(Cost._fields)
            and all(isinstance(value, int | float) and 0 < value < math.inf for value in values)
        )
        if not good:
            raise self._broken(f"trial {trial.number} is no point of one")
        return Point(**trial.params), Cost(*values)

    def append(self, point: Point, cost: Cost) -> None:
        """Store a point.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        # As wide as can be: a sweep may go on with more values.
        number = self._optuna.distributions.IntDistribution(1, 1 << 20)
        shift = self._optuna.distributions.CategoricalDistribution(_SHIFTS)
        distributions: dict[str, Any] = dict.fromkeys(Point._fields, number)
        distributions["shift"] = shift
        self._study.add_trial(
            self._optuna.trial.create_trial(
                params=point._asdict(), distributions=distributions, values=cost
            )
        )

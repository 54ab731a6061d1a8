# SPDX-License-Identifier: Apache-2.0
"""Who simulates the points of a sweep: this process, several beside it, or jobs of a cluster.

All do the same: take points, and append what each costs to the one journal. On a cluster that file
must be on a file system that all nodes share; its lock, a symbolic link, holds on NFS as well. A
leaf; submitit, which sends the jobs, is imported where it is needed.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from hw.params import ParameterError
from model.cost.config import Config
from model.cost.journal import Journal
from model.cost.space import Point, cost

__all__ = ["CLUSTERS", "WorkerError", "check_cluster", "simulated"]

CLUSTERS = ("slurm", "local")
"""SLURM, and submitit's jobs as processes here: to try what it will do there."""

JOBS = "jobs"
"""Folder beside the journal: scripts, logs and results of jobs. Only they and we write to it."""

BATCH = 20
"""Points that a process takes at a time: a tenth of a second at most."""

MINUTES = 60
"""Limit of a job; ``SBATCH_TIMELIMIT`` sets another."""


POLL_S = 0.5
"""Seconds between two looks at what has become of the jobs."""


class WorkerError(Exception):
    """A process or a job has ended before its points."""


def check_cluster(cluster: str) -> None:
    """Refuse, before long work, a cluster that is not here.

    Raises
    ------
    ParameterError
        If submitit or SLURM is missing.
    """
    try:
        from submitit import SlurmExecutor
    except ImportError:
        raise ParameterError(
            "submitit must be installed to send jobs: pip install 'shiftbar[slurm]'"
        ) from None
    if cluster == "slurm" and SlurmExecutor.affinity() < 0:
        raise ParameterError("cluster must be local where there is no SLURM, not slurm")


def simulated(
    points: Sequence[Point],
    base: Config,
    journal: Journal,
    *,
    jobs: int = 1,
    cluster: str | None = None,
) -> Iterator[int]:
    """Append what points cost to a journal; yields how many more are done, now and then.

    Parameters
    ----------
    points : sequence of Point
    base : Config
    journal : Journal
    jobs : int
        Processes, or jobs of the cluster.
    cluster : {"slurm", "local"}, optional
        That `check_cluster` has found.

    Raises
    ------
    WorkerError
        If one ends too early; the journal holds what was done.
    """
    if cluster is not None:
        yield from _jobs(points, base, journal.file, jobs, cluster)
    elif jobs == 1:
        for batch in _batches(points):
            yield _append(journal, batch, base)
    else:
        yield from _processes(_batches(points), base, journal.file, jobs)


def _batches(points: Sequence[Point]) -> list[Sequence[Point]]:
    return [points[start : start + BATCH] for start in range(0, len(points), BATCH)]


def _append(journal: Journal, batch: Sequence[Point], base: Config) -> int:
    for point in batch:
        journal.append(point, cost(point, base))
    return len(batch)


def _processes(
    batches: Sequence[Sequence[Point]], base: Config, file: Path, jobs: int
) -> Iterator[int]:
    with concurrent.futures.ProcessPoolExecutor(
        min(jobs, max(1, len(batches))),
        # Not forked: the bar's thread would be.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_open,
        initargs=(file, base),
    ) as pool:
        try:
            yield from pool.map(_batch, batches)
        except BrokenProcessPool as error:
            raise WorkerError(str(error)) from None


_opened: tuple[Journal, Config]


def _open(file: Path, base: Config) -> None:
    """Begin a process of the pool; Ctrl-C is its parent's to tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _opened
    _opened = Journal(file, base), base


def _batch(batch: Sequence[Point]) -> int:
    journal, base = _opened
    return _append(journal, batch, base)


def _jobs(
    points: Sequence[Point], base: Config, file: Path, jobs: int, cluster: str
) -> Iterator[int]:
    """Send an array of jobs, each with every n-th point, and wait for them; end them if we end."""
    from submitit import AutoExecutor
    from submitit.core.utils import FailedJobError
    from submitit.helpers import as_completed

    executor = AutoExecutor(file.resolve().parent / JOBS, cluster=cluster)
    executor.update_parameters(name="shiftbar-sweep", timeout_min=MINUTES, cpus_per_task=1)
    shares = [points[number::jobs] for number in range(min(jobs, len(points)))]
    try:
        with executor.batch():
            sent = [executor.submit(_job, share, base, file.resolve()) for share in shares]
    except FailedJobError as error:
        raise WorkerError(f"{cluster} must take the jobs: {error}") from None
    try:
        for job in as_completed(sent, poll_frequency=POLL_S):
            if job.exception() is not None:
                raise WorkerError(f"job {job.job_id} has ended early; its log: {job.paths.stderr}")
            yield job.result()
    finally:
        for job in sent:
            if not job.done():
                job.cancel(check=False)


def _job(points: Sequence[Point], base: Config, file: Path) -> int:
    """Be a job: append what some points cost to the journal; returns how many they are."""
    return _append(Journal(file, base), points, base)

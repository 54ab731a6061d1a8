# SPDX-License-Identifier: Apache-2.0
"""Two processes of torchrun, as tests start them, and how the runs of a network are compared."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from model import checkpoint, train

__all__ = ["COMMAND", "TIMEOUT", "final_gap", "launch", "started", "workers"]

ROOT = Path(__file__).parent.parent
TIMEOUT = 180
"""Seconds after which a hang fails. A launch takes ten to twenty-five; a busy machine, longer."""

COMMAND = [
    "psp_12_1", "--precision", "float32", "--optimizer", "adamw", "--form", "residual",
]  # fmt: skip
"""Of the forms with one block, the one where the head's norm takes off least of what was learnt."""


@contextlib.contextmanager
def started(*arguments, cwd):
    """Start a command as two processes; at the end, end it with all that it started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         *map(str, arguments)],
        cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def launch(*arguments, cwd):
    """Run a command as two processes, to its end."""
    with started(*arguments, cwd=cwd) as process:
        output, errors = process.communicate(timeout=TIMEOUT)
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


def workers(process):
    """Return the processes that torchrun has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return [child for child, line in lines.items() if b"model.train" in line]


def final_gap(a, b):
    """Largest difference of two runs' final weights and statistics.

    Without the bias that the norm after it takes off again, and what that norm takes off: the
    gradient is 0 but for rounding, which AdamW brings to the size of any other.
    """
    ours, theirs = (checkpoint.read(out / train.FINAL)[0] for out in (a, b))
    free = {"model.body.0.second.2.bias", "model.norm.running_mean"}
    assert ours.keys() == theirs.keys() > free
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours.keys() - free)

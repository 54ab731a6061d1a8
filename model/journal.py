# SPDX-License-Identifier: Apache-2.0
"""What a run tells while it goes on: progress, a line an epoch, TensorBoard if asked, a curve."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)  # fmt: skip

from hw.params import ParameterError
from model.checkpoint import replace

__all__ = ["Journal", "draw_curve"]

LOG, CURVE, BOARD = "log.jsonl", "curve.svg", "tensorboard"
INK, ACCENT, GRID = "#1f2933", "#0b6e99", "#dde3e8"


class Journal:
    """Reports of one run; a context, so that the terminal is left in order.

    Parameters
    ----------
    out : Path
        Folder of the run.
    epochs, steps : int
        Epochs of the run, and steps of an epoch.
    batch_size : int
        Images of a step.
    silent : bool
        Tell nothing and write nothing: of several processes one reports.
    tensorboard : bool
        Write event files too; needs the package ``tensorboard``.

    Raises
    ------
    ParameterError
        If that package is asked for and missing.
    """

    def __init__(
        self,
        out: Path,
        *,
        epochs: int,
        steps: int,
        batch_size: int,
        silent: bool = False,
        tensorboard: bool = False,
    ) -> None:
        self._out, self._silent = out, silent
        self._epochs, self._steps, self._batch_size = epochs, steps, batch_size
        self._board: Any = None
        if tensorboard and not silent:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise ParameterError(
                    "tensorboard must be installed to write event files: pip install tensorboard"
                ) from None
            self._board = SummaryWriter(str(out / BOARD))
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[rate]}"),
            console=Console(stderr=True),
            disable=silent or not sys.stderr.isatty(), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=epochs * steps, rate="")
        self._done_here = 0
        self._began = self._epoch_began = time.monotonic()

    def __enter__(self) -> Journal:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if self._board is not None:
            self._board.close()

    def begin(self, epoch: int) -> None:
        """Start the clock of an epoch, counted from 0."""
        self._epoch_began = time.monotonic()
        self._bar.update(
            self._task, description=f"epoch {epoch + 1}", completed=epoch * self._steps
        )

    def step(self) -> None:
        """Count a step."""
        self._done_here += 1
        seconds = time.monotonic() - self._began
        rate = f"{self._done_here * self._batch_size / max(seconds, 1e-9):.0f} images/s"
        self._bar.update(self._task, advance=1, rate=rate)

    def trained(self) -> dict[str, float]:
        """Return the time that an epoch's training took, and its throughput."""
        seconds = time.monotonic() - self._epoch_began
        images = self._steps * self._batch_size
        return {"seconds": round(seconds, 2), "images_per_s": round(images / seconds)}

    def record(self, log: Sequence[dict[str, Any]]) -> None:
        """Tell of the last epoch, and write the log anew: as it stands in the checkpoint."""
        if self._silent:
            return
        self._write(log)
        line = log[-1]
        left = (time.monotonic() - self._epoch_began) * (self._epochs - line["epoch"])
        text = (
            f"epoch {line['epoch']:>3} of {self._epochs}  loss {line['loss']:.4f}  "
            f"test {100 * line['accuracy']:.2f} %  {line['images_per_s']} images/s  "
            f"{left / 60:.1f} min left"
        )
        if self._bar.disable:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bar.console.print(text, highlight=False)
        if self._board is not None:
            for key in ("loss", "accuracy", "images_per_s"):
                self._board.add_scalar(key, line[key], line["epoch"])

    def finish(self, log: Sequence[dict[str, Any]], title: str) -> None:
        """Draw the learning curve; write the log, if a killed run did not come to it."""
        if not self._silent:
            self._write(log)
            draw_curve(self._out / CURVE, log, title)

    def _write(self, log: Sequence[dict[str, Any]]) -> None:
        replace(self._out / LOG, "".join(json.dumps(line) + "\n" for line in log).encode())


def draw_curve(file: Path, log: Sequence[dict[str, Any]], title: str) -> None:
    """Draw loss and test accuracy by epoch.

    Parameters
    ----------
    file : Path
        SVG to write.
    log : sequence of dict
        Lines with ``epoch``, ``loss`` and ``accuracy`` (0…1).
    title : str
    """
    import io

    import matplotlib as mpl  # takes half a second to import
    from matplotlib.figure import Figure

    epochs = [line["epoch"] for line in log]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title, color=INK, fontsize=12)
    panels = (
        ("training loss", [line["loss"] for line in log], "{:.3f}"),
        ("test accuracy, % (averaged weights)", [100 * line["accuracy"] for line in log], "{:.2f}"),
    )
    for axes, (name, values, form) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.plot(epochs, values, color=ACCENT, linewidth=1.8, marker="o" if len(log) < 3 else "")
        axes.annotate(
            form.format(values[-1]), (epochs[-1], values[-1]), textcoords="offset points",
            xytext=(-4, 7), ha="right", color=INK,
        )  # fmt: skip
        axes.set_title(name, color=INK, fontsize=10)
        axes.set_xlabel("epoch", color=INK)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlim(0, len(log) + 1)
        axes.grid(color=GRID)
        axes.spines[["top", "right"]].set_visible(False)
    content = io.BytesIO()
    # No date and no random names: the same log gives the same bytes.
    with mpl.rc_context({"svg.hashsalt": "shiftbar", "svg.fonttype": "none"}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    replace(file, content.getvalue())

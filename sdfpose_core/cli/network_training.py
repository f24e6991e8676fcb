"""What the scripts share that train a network of all categories: options, views, progress, time."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.paths import check_output_folder
from sdfpose_core.device import set_threads
from sdfpose_core.encoder.view_files import MadeOnce, make_view_files

__all__ = ["NetworkTraining", "print_figures", "training_parser"]


def training_parser(description: str, config: Path) -> argparse.ArgumentParser:
    """Create a parser with the options that all these scripts have.

    Args:
        description: of the script.
        config: configuration that is used by default.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--work", type=Path, required=True, help="folder for views and checkpoints")
    parser.add_argument("--config", type=Path, default=config, help="default: the shipped one")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=integer(1), default=1, help="processes that make views")
    parser.add_argument("--threads", type=integer(0), default=0, help="CPU threads, 0: all cores")
    return parser


class NetworkTraining:
    """Progress bars, log and clock of a training; a context.

    Args:
        name: of the network; also of its log.
        args: options of `training_parser`.

    Raises:
        ConfigurationError: a folder cannot be written.
    """

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        check_output_folder("--out", args.out)
        check_output_folder("--work", args.work)
        if args.threads > 0:
            set_threads(args.threads)
        self._name = name
        self._work: Path = args.work
        self._workers: int = args.workers
        self._start_s = self._views_end_s = time.monotonic()
        self._bar = Progress()
        self._open = ExitStack()

    def __enter__(self) -> NetworkTraining:
        self._open.enter_context(self._bar)
        folder = self._work / "tensorboard" / self._name
        self._log = self._open.enter_context(SummaryWriter(str(folder)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def folder(self, name: str) -> Path:
        """A folder for views, which is made if it is not there."""
        path = self._work / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def make(self, files: Sequence[MadeOnce], title: str) -> None:
        """Make the files of views that are missing."""
        task = self._bar.add_task(title, total=len(files))
        for _ in make_view_files(files, self._workers):
            self._bar.advance(task)
        self._views_end_s = time.monotonic()

    def steps(self, *counts: int) -> list[Callable[[int, Mapping[str, float]], None]]:
        """Functions that show and log the steps and losses of each of the stages of a training."""
        task = self._bar.add_task(f"{self._name} network", total=sum(counts))

        def stage(before: int) -> Callable[[int, Mapping[str, float]], None]:
            def progress(step: int, losses: Mapping[str, float]) -> None:
                self._bar.update(task, completed=before + step)
                for name, value in losses.items():
                    self._log.add_scalar(f"{self._name}/{name}", value, before + step)

            return progress

        return [stage(sum(counts[:i])) for i in range(len(counts))]

    def print_time(self) -> None:
        """Print how long it took since the start, and the views alone."""
        views, total = ((x - self._start_s) / 60.0 for x in (self._views_end_s, time.monotonic()))
        print(json.dumps({"views_minutes": round(views, 1), "minutes": round(total, 1)}))


def print_figures(validation: str, figures: Mapping[str, float], **of: str) -> None:
    """Print the accuracies on some views.

    Args:
        validation: what the views show.
        figures: the accuracies.
        of: whose accuracies they are, e.g. ``category``.
    """
    rounded = {name: round(value, 3) for name, value in figures.items()}
    print(json.dumps({"validation": validation, **of, **rounded}))

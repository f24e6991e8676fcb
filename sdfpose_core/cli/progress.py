"""Progress of long commands: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TaskID

__all__ = ["progress_bar"]

_STEP = 0.1
"""Share of the work between two lines."""

_SHORTEST_S, _LONGEST_S = 5.0, 60.0
"""Time between two lines: short work has none, and slow work shows that it goes on."""


def progress_bar(*columns: ProgressColumn, transient: bool = True) -> Progress:
    """Return a progress bar on standard error; a context.

    Where standard error is no terminal, lines such as ``sdfpose: images: 4 of 40 (10 %)`` take its
    place.

    Args:
        columns: of the bar; by default those of rich.
        transient: whether the bar vanishes at the end.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        return Progress(*columns, console=console, transient=transient)
    return _ProgressLines(console)


class _ProgressLines(Progress):
    """Prints a line when a tenth of a task is done, but neither too often nor too seldom."""

    def __init__(self, console: Console) -> None:
        super().__init__(console=console, disable=True)
        self._told: dict[TaskID, tuple[float, float]] = {}

    def add_task(self, *args: Any, **options: Any) -> TaskID:
        task = super().add_task(*args, **options)
        self._told[task] = time.monotonic(), 0.0
        return task

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        task = next(x for x in self.tasks if x.id == task_id)
        now_s, (told_s, told) = time.monotonic(), self._told[task_id]
        grown = task.total is not None and task.completed - told >= _STEP * task.total
        if now_s - told_s >= (_SHORTEST_S if grown else _LONGEST_S):
            self._told[task_id] = now_s, task.completed
            total = f" of {task.total:.0f} ({task.percentage:.0f} %)" if task.total else ""
            self.console.print(
                f"sdfpose: {task.description}: {task.completed:.0f}{total}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

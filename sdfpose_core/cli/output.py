"""Console output and output files of the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sdfpose_core.errors import SdfposeError
from sdfpose_core.evaluation.frame_metrics import MIN_OBJECTS
from sdfpose_core.storage.files import write_atomically

__all__ = [
    "precision_table",
    "print_problems",
    "problems_of_failure",
    "wide_console",
    "write_file",
    "write_json",
]

_PIPE_WIDTH = 120
"""Console width in columns when the output is not a terminal."""

_MAX_PRINTED = 10
"""Number of problems to print; further ones are only counted."""


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
        SdfposeError: The file cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise SdfposeError(f"{path}: cannot be written: {error.strerror}") from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON document atomically; raises the same errors as `write_file`."""
    write_file(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def wide_console(width: int = _PIPE_WIDTH) -> Console:
    """Return a console; `width` columns apply when the output is a pipe or a file.

    Brackets in the names of frames and topics are not taken for markup.
    """
    console = Console(markup=False)
    return console if console.is_terminal else Console(width=width, markup=False)


def print_problems(problems: Sequence[str]) -> None:
    """Print the first few problems on stderr, and the number of further ones."""
    console = Console(stderr=True)
    for problem in problems[:_MAX_PRINTED]:
        console.print(f"sdfpose: {problem}", markup=False, highlight=False, soft_wrap=True)
    if len(problems) > _MAX_PRINTED:
        console.print(f"sdfpose: ... and {len(problems) - _MAX_PRINTED} more", highlight=False)


@contextmanager
def problems_of_failure(problems: Sequence[str]) -> Iterator[None]:
    """Print the problems found so far if the block fails; they may explain the error."""
    try:
        yield
    except SdfposeError:
        print_problems(problems)
        raise


def precision_table(document: Mapping[str, Any]) -> Table:
    """Build a table of the average precisions per category and their mean.

    Args:
        document: has the keys ``per_category``, ``mean``, ``iou`` and ``misses``, and ``spread``
            for repeated runs.
    """
    table = Table(
        title=f"Average precision (%), IoU: {document['iou']}, misses: {document['misses']}",
        title_justify="left",
    )
    table.add_column("")
    for key in document["mean"]:
        table.add_column(key.replace("_", " "), justify="right")
    for name, row in document["per_category"].items():
        table.add_row(name, *(_cell(key, value, {}) for key, value in row.items()))
    if any(0 < x["n"] < MIN_OBJECTS for x in document["per_category"].values()):
        table.caption = f"averages over fewer than {MIN_OBJECTS} objects say little"
        table.caption_justify = "left"
    spread = document.get("spread", {})
    table.add_row("mean", *(_cell(key, x, spread) for key, x in document["mean"].items()))
    return table


def _cell(key: str, value: float | None, spread: Mapping[str, float]) -> str:
    if value is None:
        return "-"
    if key == "n":
        return f"{value:.0f}"
    return f"{value:.1f}" + (f" ± {spread[key]:.1f}" if key in spread else "")

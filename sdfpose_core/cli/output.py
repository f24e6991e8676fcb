"""Console output and output files of the commands."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sdfpose_core.cli.execution import describe_os_error, write_to_standard_output
from sdfpose_core.cli.paths import STANDARD_OUTPUT, path_argument
from sdfpose_core.errors import SdfposeError
from sdfpose_core.storage.files import write_atomically

__all__ = [
    "add_json_argument",
    "figure",
    "measure_heading",
    "new_table",
    "note_few_objects",
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


def add_json_argument(parser: argparse.ArgumentParser, content: str = "results") -> None:
    """Declare ``--json``."""
    parser.add_argument(
        "--json",
        type=path_argument,
        metavar="FILE",
        help=f"write the {content} as JSON; '-' is standard output, and text goes to stderr",
    )


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
        SdfposeError: The file cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        reason = describe_os_error(OSError(error.errno, error.strerror))
        raise SdfposeError(f"{path}: cannot be written: {reason}") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON document atomically, or to standard output if the path is ``-``.

    Numbers that are not finite, which JSON lacks, become null.

    Raises:
        SdfposeError: The file cannot be written.
    """
    text = json.dumps(_finite(content), indent=1, allow_nan=False) + "\n"
    if path == STANDARD_OUTPUT:
        write_to_standard_output(text)
    else:
        write_file(path, text.encode())


def wide_console(width: int = _PIPE_WIDTH) -> Console:
    """Return a console on standard output.

    Its width is that of the terminal, or of the variable COLUMNS; `width` columns apply when the
    output is a pipe or a file. Brackets in the names of frames and topics are not taken for markup.
    """
    console = Console(markup=False)
    columns = os.environ.get("COLUMNS", "")
    known = console.is_terminal or (columns.isdecimal() and int(columns) > 0)
    return console if known else Console(width=width, markup=False)


def new_table(title: str) -> Table:
    """Return a table without vertical lines, which leaves room for figures in 80 columns."""
    return Table(
        title=Text(title),
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        show_edge=False,
    )


def print_problems(problems: Sequence[str], program: str = "sdfpose") -> None:
    """Print the first few problems on stderr, and the number of further ones."""
    console = Console(stderr=True)
    for problem in problems[:_MAX_PRINTED]:
        console.print(f"{program}: {problem}", markup=False, highlight=False, soft_wrap=True)
    if len(problems) > _MAX_PRINTED:
        console.print(f"{program}: ... and {len(problems) - _MAX_PRINTED} more", highlight=False)


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
    table = new_table(
        f"Average precision (%), IoU: {document['iou']}, misses: {document['misses']}"
    )
    table.add_column("", overflow="fold")
    for key in document["mean"]:
        table.add_column(measure_heading(key), justify="right", no_wrap=True)
    rows = [*document["per_category"].items(), ("mean", document["mean"])]
    for name, row in rows:
        table.add_row(Text(name), *(_cell(key, row[key]) for key in document["mean"]))
    note_few_objects(table, (x["n"] for x in document["per_category"].values()))
    if spread := document.get("spread"):
        cells = (f"{spread[key]:.1f}" if key in spread else "" for key in document["mean"])
        table.add_row("std. dev.", *cells)
    return table


def note_few_objects(table: Table, counts: Iterable[int]) -> None:
    """Note below a table that averages over few objects say little, if it has such.

    Args:
        table: with one row per category.
        counts: number of objects of each category.
    """
    # Imported here, because it takes long to load and most commands have no such table.
    from sdfpose_core.evaluation.frame_metrics import MIN_OBJECTS

    if any(0 < x < MIN_OBJECTS for x in counts):
        table.caption = f"averages over fewer than {MIN_OBJECTS} objects say little"
        table.caption_justify = "left"


def figure(value: float | None, digits: int = 1) -> str:
    """Write a figure of a table: counts as they are, others with so many decimal digits."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


def measure_heading(key: str) -> str:
    """Split the name of a measure into two lines: ``iou50``, or ``deg10_cm5`` as 10 deg, 5 cm."""
    if key.startswith("iou"):
        return f"IoU\n{key[3:]}"
    parts = [(x.rstrip("0123456789"), x) for x in key.split("_")]
    return "\n".join(f"{x[len(unit) :]} {unit}".strip() for unit, x in parts)


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if key == "n" else f"{value:.1f}"


def _finite(value: Any) -> Any:
    """Replace the numbers in a document that are not finite by None."""
    if isinstance(value, Mapping):
        return {key: _finite(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

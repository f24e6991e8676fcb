"""The work of `sdfpose packs`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from sdfpose_core.cli.output import new_table, wide_console, write_json
from sdfpose_core.cli.paths import check_output_file
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.errors import PackError, WeightsError
from sdfpose_core.estimation.category_model import load_networks
from sdfpose_core.estimation.options import EncoderName
from sdfpose_core.packs.collection import Packs, find_packs
from sdfpose_core.packs.pack import CARD_FILE, FORMAT, Pack, own_version
from sdfpose_core.storage.text import read_text
from sdfpose_core.weights import SHIPPED, weights_kind

__all__ = ["run"]

_LINK = re.compile(r"!?\[([^\]]*)\]\(([^()\s]+)\)")
"""A link or a picture in Markdown: its text and its target."""


@dataclass(frozen=True)
class _Report:
    """A pack, and what is wrong with it.

    Attributes:
        folder: of the pack.
        pack: None if its entry cannot be read.
        encoder: kind of its encoder.
        problem: empty if there is none.
    """

    folder: Path
    pack: Pack | None
    encoder: EncoderName = "none"
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        found = {"folder": str(self.folder), "fits": not self.problem, "problem": self.problem}
        if self.pack is None:
            return found
        return found | {
            "category": self.pack.category.as_entry(),
            "version": self.pack.version,
            "encoder": self.encoder,
            "size_bytes": self.pack.size_bytes,
            "files": sorted(x.name for x in self.pack.folder.iterdir()),
        }


def run(args: argparse.Namespace) -> int:
    """Run the chosen action. Return 0 if all packs can be used, else 1.

    Raises:
        SdfposeError: an argument is invalid, or a folder holds no pack.
    """
    check_output_file("--json", args.json)
    return int(_ACTIONS[args.action](args))


def _list(args: argparse.Namespace) -> int:
    reports = [_read(x) for folder in (SHIPPED, *args.packs) for x in find_packs(folder)]
    return _finish(args, reports)


def _check(args: argparse.Namespace) -> int:
    folders = args.packs or [SHIPPED]
    return _finish(args, [_load(x) for folder in folders for x in find_packs(folder)])


def _show(args: argparse.Namespace) -> int:
    shipped = SHIPPED / args.pack
    is_name = Path(args.pack).name == args.pack and not Path(args.pack).exists()
    folder = shipped if is_name and shipped.is_dir() else Path(args.pack)
    pack = Pack.read(folder)
    report = _load(folder)
    card = pack.folder / CARD_FILE
    text = read_text(card) if card.is_file() else ""
    if args.json is not None:
        write_json(args.json, report.as_json() | {"card": text})
    console = wide_console()
    console.print(f"pack {pack.folder}", highlight=False, soft_wrap=True, markup=False)
    lines = {
        "fits": _state(report),
        "version": pack.version,
        "size": f"{pack.size_bytes / 1024:.0f} KiB",
        "encoder": report.encoder,
        **pack.category.as_entry(),
        "files": ", ".join(sorted(x.name for x in pack.folder.iterdir())),
    }
    for name, value in lines.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        console.print(f"  {name}: {shown}", highlight=False, soft_wrap=True, markup=False)
    if text:
        console.print(
            f"\n{_readable(text, pack.folder).strip()}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    return 1 if report.problem else 0


def _readable(card: str, folder: Path) -> str:
    """Write the links and pictures of a card as text, with paths that can be opened from here."""

    def text(link: re.Match[str]) -> str:
        name, target = link.groups()
        place = target if ":" in target else os.path.normpath(folder / target)
        return place if name in ("", target) else f"{name} ({place})"

    return _LINK.sub(text, card)


def _read(folder: Path) -> _Report:
    """Read the entry of a pack, and the kind of its encoder."""
    try:
        pack = Pack.read(folder)
    except PackError as error:
        return _Report(folder, None, problem=str(error))
    try:
        pack.check_complete()
        return _Report(folder, pack, _encoder(pack))
    except WeightsError as error:
        return _Report(folder, pack, problem=str(error))


def _load(folder: Path) -> _Report:
    """Read a pack with its networks."""
    report = _read(folder)
    if report.pack is None or report.problem:
        return report
    try:
        load_networks(report.pack, report.encoder)
    except WeightsError as error:
        return _Report(folder, report.pack, report.encoder, str(error))
    return report


def _encoder(pack: Pack) -> EncoderName:
    if pack.encoder is None:
        return "none"
    kind = weights_kind(pack.file("encoder"), "encoder")
    return "ssc6d" if kind == Ssc6dEncoder.KIND else "fast"


def _finish(args: argparse.Namespace, reports: Sequence[_Report]) -> int:
    """Print and write the reports, and what hinders the packs from being used together."""
    problems = [x.problem for x in reports if x.problem] or _collisions(args.packs)
    if args.json is not None:
        document = {
            "version": own_version(),
            "format": FORMAT,
            "packs": [x.as_json() for x in reports],
            "problems": problems,
        }
        write_json(args.json, document)
    _print(reports, problems)
    return 1 if problems else 0


def _collisions(folders: Iterable[Path]) -> list[str]:
    try:
        Packs.beside_shipped(folders)
    except PackError as error:
        return [str(error)]
    return []


def _print(reports: Sequence[_Report], problems: Sequence[str]) -> None:
    console = wide_console()
    table = new_table(f"Packs of sdfpose {own_version()}")
    for name in ("category", "labels", "folder"):
        table.add_column(name, overflow="fold")
    for name in ("encoder", "KiB", "made by"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("fits", no_wrap=True)
    for x in reports:
        name, labels, size, version = "?", "", "", ""
        if x.pack is not None:
            name, labels = x.pack.name, ", ".join(x.pack.category.labels)
            size, version = f"{x.pack.size_bytes / 1024:.0f}", x.pack.version
        cells = (name, labels, str(x.folder), x.encoder, size, version, _state(x, short=True))
        table.add_row(*map(Text, cells))
    console.print(table)
    for problem in problems:
        console.print(problem, highlight=False, soft_wrap=True, markup=False)


def _state(report: _Report, *, short: bool = False) -> str:
    """Whether a pack fits this version of sdfpose, in words."""
    if not report.problem:
        return "yes"
    return "no" if short else f"no: {report.problem}"


_ACTIONS = {"list": _list, "check": _check, "show": _show}
"""The actions by name."""

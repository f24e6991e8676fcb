"""The page on messages, services and actions, generated from the comments of their files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdfpose_ros.reference.markdown import cell, prose

__all__ = ["messages_page"]

_ROOT = Path(__file__).parents[2]

_HEAD = """\
# Messages, services and actions

This page is generated from the comments in `msg/`, `srv/` and `action/`. On a running system,
`ros2 interface show sdfpose/msg/SdfObject` prints the same file.
"""

_FIELD = re.compile(
    r"(?P<type>[\w/]+(\[\d*\])?)\s+(?P<name>\w+)(\s*=\s*(?P<value>\S+))?\s*(#\s*(?P<note>.*))?$"
)


@dataclass
class _Field:
    """A field or a constant; `value` is None for a field."""

    type: str
    name: str
    value: str | None
    comment: str


def messages_page(root: Path = _ROOT) -> str:
    """Return Markdown with a section for each message, service and action.

    Args:
        root: the package's folder, with `msg/`, `srv/` and `action/`.
    """
    lines = [_HEAD, "## Messages", ""]
    for path in sorted((root / "msg").glob("*.msg")):
        lines += [f"### `sdfpose/msg/{path.stem}`", "", *_part(path.read_text("utf-8"), "field")]
    lines += ["## Services", ""]
    for path in sorted((root / "srv").glob("*.srv")):
        request, response = path.read_text("utf-8").split("\n---\n")
        lines += [f"### `sdfpose/srv/{path.stem}`", "", *_part(request, "request")]
        lines += _part(response, "response", described=False)
    lines += ["## Actions", ""]
    for path in sorted((root / "action").glob("*.action")):
        goal, result, feedback = path.read_text("utf-8").split("\n---\n")
        lines += [f"### `sdfpose/action/{path.stem}`", "", *_part(goal, "goal")]
        lines += _part(result, "result", described=False)
        lines += _part(feedback, "feedback", described=False)
    return "\n".join(lines).rstrip() + "\n"


def _part(text: str, kind: str, *, described: bool = True) -> Iterator[str]:
    """The description and the tables of a message, a request or a response."""
    description, fields = _parse(text, described)
    for paragraph in description:
        yield from (paragraph, "")
    constants = [x for x in fields if x.value is not None]
    rows = [x for x in fields if x.value is None]
    if constants:
        yield from ("| constant | value | description |", "|---|---|---|")
        yield from (f"| `{x.name}` | `{x.value}` | {cell(x.comment)} |" for x in constants)
        yield ""
    if rows:
        yield from (f"| {kind} | type | description |", "|---|---|---|")
        yield from (f"| `{x.name}` | {_type(x.type)} | {cell(x.comment)} |" for x in rows)
        yield ""


def _type(name: str) -> str:
    """A type; one of this package with a link to its section."""
    own = name.partition("[")[0]
    return (
        f"`{name}`"
        if own == own.lower() or "/" in own
        else (f"[`{name}`](#sdfposemsg{own.lower()})")
    )


def _parse(text: str, described: bool) -> tuple[list[str], list[_Field]]:
    """Paragraphs of the description, which a blank line ends, and the fields.

    Raises:
        ValueError: a line is neither a comment nor a field.
    """
    lines = text.strip("\n").splitlines()
    description: list[str] = []
    if described:
        end = next((i for i, x in enumerate(lines) if not x.startswith("#")), len(lines))
        description, lines = _paragraphs(lines[:end]), lines[end:]
    fields: list[_Field] = []
    comments: list[str] = []
    for line in lines:
        if not line.strip():
            comments = []
        elif line.startswith("#"):
            comments.append(line)
        elif match := _FIELD.match(line):
            note = prose(match["note"] or "")
            if match["value"] is not None:  # the comment above is that of the field that follows
                fields.append(_Field(match["type"], match["name"], match["value"], note))
                continue
            comment = " ".join([*_paragraphs(comments), *([note] if note else [])])
            fields.append(_Field(match["type"], match["name"], None, comment))
            comments = []
        else:
            raise ValueError(f"{line!r}: expected a comment or 'TYPE NAME' of an interface file")
    return description, fields


def _paragraphs(comments: Sequence[str]) -> list[str]:
    """Comment lines as paragraphs of prose; an empty comment separates two."""
    text = "\n".join(x.removeprefix("#").strip() for x in comments)
    return [prose(x) for x in text.split("\n\n") if x.strip()]

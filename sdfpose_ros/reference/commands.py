"""The page on the commands, generated from their argument parsers.

Options are rendered one by one: argparse's own help text depends on the width of the terminal and
on the version of Python.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from sdfpose_core.cli.main import full_parser
from sdfpose_ros.reference.markdown import cell, prose

__all__ = ["commands_page"]

_HEAD = """\
# Commands

This page is generated from the argument parsers of the command `sdfpose`. Every command and
subcommand prints the same with `--help`. The exit status is 0 on success, 2 when an argument or the
input is wrong, and 130 when the command is interrupted.
"""

_ROOT = Path(__file__).parents[2]

_REMARK = re.compile(r"\s*\(default: ([^()]*(?:\(default\)s)?)\)")

_COUNTS = {"*": "[{0} ...]", "+": "{0} [{0} ...]", "?": "[{0}]", argparse.REMAINDER: "..."}


def commands_page() -> str:
    """Return Markdown with a section for each command and a subsection for each subcommand."""
    parser = full_parser()
    commands = list(_subparsers(parser))
    summary = [
        "| command | purpose |",
        "|---|---|",
        *(f"| [`sdfpose {name}`](#sdfpose-{name}) | {cell(text)} |" for name, text, _ in commands),
    ]
    sections = [line for name, _, x in commands for line in _section(f"sdfpose {name}", x, 2)]
    return "\n".join([_HEAD, *summary, "", *sections]).rstrip() + "\n"


def _section(name: str, parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{name}`"
    yield ""
    if parser.description:
        yield prose(parser.description)
        yield ""
    yield from ("```text", *_usage(name, parser), "```", "")
    rows = [_row(x) for x in _arguments(parser)]
    if rows:
        yield "| argument | values | default | description |"
        yield "|---|---|---|---|"
        yield from rows
        yield ""
    for sub, _, subparser in _subparsers(parser):
        yield from _section(f"{name} {sub}", subparser, level + 1)


def _subparsers(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, one-line purpose and parser of each subcommand."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            purposes = {x.dest: x.help or "" for x in action._choices_actions}
            for name, subparser in action.choices.items():
                yield name, purposes.get(name, ""), subparser


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments that a user can give, positional ones first."""
    hidden = (argparse._HelpAction, argparse._SubParsersAction)
    shown = [
        x for x in parser._actions if not isinstance(x, hidden) and x.help != argparse.SUPPRESS
    ]
    return sorted(shown, key=lambda x: bool(x.option_strings))


def _usage(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """The command line, wrapped between arguments."""
    line = name
    indent = " " * (len(name) + 1)
    parts = [_usage_part(x) for x in _arguments(parser)]
    if any(True for _ in _subparsers(parser)):
        parts.append("{" + ",".join(x for x, _, _ in _subparsers(parser)) + "} ...")
    for part in parts:
        if len(line) + 1 + len(part) > 88:
            yield line
            line = indent + part
        else:
            line = f"{line} {part}"
    yield line


def _usage_part(action: argparse.Action) -> str:
    value = _value(action)
    if not action.option_strings:
        return value
    text = " ".join(x for x in (action.option_strings[-1], value) if x)
    return text if action.required else f"[{text}]"


def _value(action: argparse.Action) -> str:
    """What stands for the argument's value on a command line; empty for a switch."""
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    name = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    if action.choices is not None and action.metavar is None:
        name = action.dest.upper()
    if isinstance(action.nargs, int):
        return " ".join([name] * action.nargs)
    return _COUNTS.get(str(action.nargs), "{0}").format(name)


def _row(action: argparse.Action) -> str:
    value = _value(action)
    names = ", ".join(f"`{x}`" for x in action.option_strings)
    if not action.option_strings:
        names = f"`{value}`"
    elif value:
        names = f"{names} `{value}`"
    choices = ", ".join(f"`{x}`" for x in action.choices or ())
    text, default = _help_and_default(action)
    return f"| {cell(names)} | {cell(choices)} | {default} | {cell(text)} |"


def _help_and_default(action: argparse.Action) -> tuple[str, str]:
    """The help text, and the default, which the help may put in words at its end."""
    text = action.help or ""
    default = _default(action)
    remarks = _REMARK.findall(text)
    if len(remarks) == 1 and text.rstrip().endswith(")"):
        text = _REMARK.sub("", text)
        if remarks[0] not in ("%(default)s", default.strip("`")):
            default = prose(remarks[0])
    return prose(text % {**vars(action), "prog": "sdfpose"}), default


def _default(action: argparse.Action) -> str:
    if action.required:
        return "required"
    value = action.default
    if action.nargs == 0 or value is None or value in ("", [], (), argparse.SUPPRESS):
        return ""
    if isinstance(value, Path) and value.is_relative_to(_ROOT):
        value = value.relative_to(_ROOT)
    if isinstance(value, (list, tuple)):
        value = " ".join(map(str, value))
    return f"`{value}`"

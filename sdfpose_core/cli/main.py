"""Entry point of the command `sdfpose`.

A command is a module with two functions: ``add_parser(subparsers)`` declares the arguments under
the command's name, and ``run(args) -> int`` returns the exit status. The library's own commands
are listed here; other packages add theirs as entry points of the group `sdfpose.commands`. Only
the module of the requested command is imported, and commands that do not need ROS 2 run on a
machine without it. The module imports what the arguments need, and ``run`` what the work needs: no
help and no wrong argument waits for torch.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from sdfpose_core.cli.execution import execute
from sdfpose_core.errors import ConfigurationError

__all__ = ["full_parser", "main"]

_GROUP = "sdfpose.commands"

_CORE_COMMANDS = {
    "adapt": "sdfpose_core.cli.arguments.adapt",
    "bag": "sdfpose_core.cli.arguments.bag",
    "bench": "sdfpose_core.cli.arguments.bench",
    "doctor": "sdfpose_core.cli.arguments.doctor",
    "estimate": "sdfpose_core.cli.arguments.estimate",
    "eval": "sdfpose_core.cli.arguments.eval",
    "export": "sdfpose_core.cli.arguments.export",
    "grasps": "sdfpose_core.cli.arguments.grasps",
    "import-ssc6d": "sdfpose_core.cli.arguments.import_ssc6d",
    "learn": "sdfpose_core.cli.arguments.learn",
    "packs": "sdfpose_core.cli.arguments.packs",
    "replay": "sdfpose_core.cli.arguments.replay",
    "shapes": "sdfpose_core.cli.arguments.shapes",
    "view": "sdfpose_core.cli.arguments.view",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; see `execute` for errors and output.

    Args:
        argv: command-line arguments without the program name; default: those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)

    def command() -> int:
        try:
            args = _parser(arguments).parse_args(arguments)
        except SystemExit as stop:  # wrong usage, which argparse has explained
            if not stop.code:
                raise
            return int(stop.code)
        return int(args.run(args))

    return execute("sdfpose", command)


def full_parser() -> argparse.ArgumentParser:
    """Build the parser with the arguments of all commands, for the reference pages.

    Raises:
        ConfigurationError: a command cannot be imported.
    """
    parser, subparsers = _bare_parser()
    for name, path in _commands().items():
        _load(name, path).add_parser(subparsers)
    return parser


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser with the requested command, or with all commands if none matches."""
    parser, subparsers = _bare_parser()
    commands = _commands()
    requested = next((x for x in arguments if not x.startswith("-")), None)
    if requested in commands:
        module = _load(requested, commands[requested])
        module.add_parser(subparsers)
        subparsers.choices[requested].set_defaults(run=module.run)
    else:
        for name, path in commands.items():
            subparsers.add_parser(name, help=_summary(name, path))
    return parser


def _bare_parser() -> tuple[argparse.ArgumentParser, Any]:
    """Build the parser without commands; return it and the action to which they are added."""
    parser = argparse.ArgumentParser(
        prog="sdfpose",
        description="Estimate 6D pose, size and shape of objects from RGB-D images.",
        epilog="Run 'sdfpose COMMAND --help' for the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"sdfpose {_version()}")
    return parser, parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _commands() -> dict[str, str]:
    """Map command names to modules, sorted by name. The library's own commands take precedence."""
    found = {point.name: point.value for point in metadata.entry_points(group=_GROUP)}
    return dict(sorted((found | _CORE_COMMANDS).items()))


def _load(name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ImportError as error:
        raise ConfigurationError(
            f"cannot load the command '{name}' from {path}: {error} (are its dependencies "
            "installed, and is the ROS 2 environment sourced?)"
        ) from error


def _summary(name: str, path: str) -> str:
    """Read the first line of a command's docstring without importing the module."""
    try:
        spec = importlib.util.find_spec(path)
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        return "not installed"
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    first = (docstring or "").partition("\n")[0]
    return first.removeprefix(f"`sdfpose {name}`: ").rstrip(".").replace("%", "%%")


def _version() -> str:
    try:
        return metadata.version("sdfpose")
    except metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())

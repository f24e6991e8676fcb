"""Entry point of the command `sdfpose`.

A command is a module with two functions: ``add_parser(subparsers)``, which declares its arguments
under the command's name, and ``run(args) -> int``, which returns the exit status. The library's
own are listed here; other packages add theirs as entry points of the group `sdfpose.commands`.
Only the module of the command that was asked for is imported: ``sdfpose --version`` does not wait
for torch, and a machine without ROS 2 can use everything that needs none.
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

from sdfpose_core.errors import ConfigurationError, SdfposeError

__all__ = ["main"]

_GROUP = "sdfpose.commands"

_CORE_COMMANDS = {
    "adapt": "sdfpose_core.cli.adapt",
    "bag": "sdfpose_core.cli.bag",
    "bench": "sdfpose_core.cli.bench",
    "estimate": "sdfpose_core.cli.estimate",
    "eval": "sdfpose_core.cli.eval",
    "export": "sdfpose_core.cli.export",
    "import-ssc6d": "sdfpose_core.cli.import_ssc6d",
    "replay": "sdfpose_core.cli.replay",
    "shapes": "sdfpose_core.cli.shapes",
}

_USAGE_ERROR = 2
_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors of the library become one line on stderr and exit status 2.

    Args:
        argv: the arguments after the program's name; those of the process where left out.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(arguments).parse_args(arguments)
        return int(args.run(args))
    except SdfposeError as error:
        print(f"sdfpose: error: {error}", file=sys.stderr)
        return _USAGE_ERROR
    except KeyboardInterrupt:
        print("sdfpose: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser with the command that was asked for, or with all of them."""
    parser = argparse.ArgumentParser(
        prog="sdfpose",
        description="6D pose, size and shape of objects of known categories from RGB-D images.",
    )
    parser.add_argument("--version", action="version", version=f"sdfpose {_version()}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands = _commands()
    wanted = next((x for x in arguments if not x.startswith("-")), None)
    if wanted in commands:
        module = _load(wanted, commands[wanted])
        module.add_parser(subparsers)
        subparsers.choices[wanted].set_defaults(run=module.run)
    else:
        for name, path in commands.items():
            subparsers.add_parser(name, help=_summary(name, path))
    return parser


def _commands() -> dict[str, str]:
    """Modules by command, in alphabetical order; the library's own come before others'."""
    found = {point.name: point.value for point in metadata.entry_points(group=_GROUP)}
    return dict(sorted((found | _CORE_COMMANDS).items()))


def _load(name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ImportError as error:
        raise ConfigurationError(
            f"the command '{name}' cannot be loaded from {path}: {error} (is everything "
            "installed that it needs, and is the ROS 2 environment set up?)"
        ) from error


def _summary(name: str, path: str) -> str:
    """First line of a command's docstring, read without running the module."""
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

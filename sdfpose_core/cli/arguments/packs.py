"""`sdfpose packs`: list, check and show packs of categories."""

from __future__ import annotations

import argparse
from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument

__all__ = ["add_parser", "run"]

run = run_of("sdfpose_core.cli.packs")


def add_parser(subparsers: Any) -> None:
    """Declare the command's actions."""
    parser = subparsers.add_parser(
        "packs",
        help="list, check and show packs of categories",
        description=(
            "A pack is a folder that holds one category: its entry, its networks and its card. "
            "Other commands take packs beside the shipped ones with --weights."
        ),
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listed = actions.add_parser(
        "list",
        help="list the shipped packs and those of folders",
        description=(
            "List the shipped packs and those of PACK..., with their versions and sizes. The exit "
            "status is 0 if all can be used together, else 1. Networks are not loaded."
        ),
        epilog="Example: sdfpose packs list my_packs/",
    )
    _add_packs_argument(listed, "packs, or folders of packs, beside the shipped ones")
    listed.set_defaults(action="list")
    checked = actions.add_parser(
        "check",
        help="load packs and verify their digests",
        description=(
            "Load the networks of packs and verify the digests of their files: files that are "
            "damaged, or were swapped between packs, are found. The exit status is 0 if all packs "
            "fit this version of sdfpose and can be used together, else 1."
        ),
        epilog="Example: sdfpose packs check my_packs/kettle",
    )
    _add_packs_argument(checked, "packs, or folders of packs (default: the shipped ones)")
    checked.set_defaults(action="check")
    shown = actions.add_parser(
        "show",
        help="show the entry and the card of a pack",
        description="Check a pack, and show its entry, its files and its card.",
        epilog="Example: sdfpose packs show mug",
    )
    shown.add_argument("pack", metavar="PACK", help="folder of a pack, or name of a shipped one")
    add_json_argument(shown, "pack")
    shown.set_defaults(action="show")


def _add_packs_argument(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("packs", type=path_argument, nargs="*", metavar="PACK", help=text)
    add_json_argument(parser, "packs")

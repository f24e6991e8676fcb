"""Choice of the packs, and of the categories that a command can use."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from sdfpose_core.cli.paths import path_argument
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.packs.collection import Packs
from sdfpose_core.shapes.families import FAMILIES

__all__ = ["add_pack_out_argument", "add_weights_argument", "given_packs", "usable_categories"]


def add_weights_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``--weights``, the packs beside the shipped ones."""
    parser.add_argument(
        "--weights",
        type=path_argument,
        nargs="+",
        action="extend",
        default=[],
        metavar="PACK",
        help=(
            "packs of categories, or folders of packs, beside the shipped ones; one of the same "
            "name takes the place of the shipped one"
        ),
    )


def add_pack_out_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``--out``, where a command writes the pack of a category."""
    parser.add_argument(
        "--out",
        type=path_argument,
        required=True,
        metavar="DIR",
        help="folder to write the pack to, as OUT/CATEGORY",
    )


def given_packs(args: argparse.Namespace) -> Packs:
    """The shipped packs and those of the option of `add_weights_argument`.

    Raises:
        PackError: a pack cannot be used, or two of them collide.
    """
    return Packs.beside_shipped(args.weights)


def usable_categories(
    packs: Packs,
    requested: Iterable[str] | None,
    problems: list[str],
    *,
    family: bool = False,
    encoder: bool = False,
) -> list[str]:
    """Choose the categories that a command works on; skip those that it cannot use, by name.

    Args:
        packs: of the known categories.
        requested: names that the user gave; None for all.
        problems: receives a message for each skipped category.
        family: whether a category needs a procedural family.
        encoder: whether a category needs an encoder.

    Raises:
        CategoryError: a requested category is unknown.
        ConfigurationError: no category can be used.
    """
    usable = []
    for name in dict.fromkeys(packs[x].name for x in requested or packs):
        if family and name not in FAMILIES:
            problems.append(f"category '{name}' has no procedural models; skipped")
        elif encoder and packs[name].encoder is None:
            problems.append(f"category '{name}' has no encoder ({packs[name].folder}); skipped")
        else:
            usable.append(name)
    if not usable:
        raise ConfigurationError(f"no category can be used: {'; '.join(problems)}")
    return usable

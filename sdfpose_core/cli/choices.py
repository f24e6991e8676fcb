"""Arguments that several commands have."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import get_args, get_type_hints

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.bags import ROLES
from sdfpose_core.estimation.estimator import EstimatorConfig
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.label_rules import parse_label_rules

__all__ = [
    "add_estimator_arguments",
    "add_labelling_arguments",
    "add_recording_arguments",
    "add_topic_argument",
    "estimator_config",
    "label_rules",
    "shard_of",
]


def add_estimator_arguments(parser: argparse.ArgumentParser, *, device: str) -> None:
    """Declare ``--encoder``, ``--refine``, ``--weights`` and ``--device``.

    Args:
        parser: of the command.
        device: where the networks run by default.
    """
    defaults = EstimatorConfig()
    parser.add_argument(
        "--encoder",
        choices=_choices("encoder"),
        default=defaults.encoder,
        help="where hypotheses come from (default: %(default)s)",
    )
    parser.add_argument(
        "--refine",
        choices=_choices("refine"),
        default=defaults.refine,
        help="how hypotheses are improved (default: %(default)s)",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="weights to use in place of the shipped ones"
    )
    parser.add_argument(
        "--device", default=device, help="auto, cpu or cuda[:N] (default: %(default)s)"
    )


def add_recording_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--every`` and ``--topic``, of commands that read frame folders and bags."""
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="take every N-th frame (default: 1)"
    )
    add_topic_argument(parser)


def add_topic_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``--topic``, of commands that read bags."""
    parser.add_argument(
        "--topic",
        action="append",
        type=_role_and_topic,
        default=[],
        metavar="ROLE=NAME",
        help=f"topic of a bag that is not to be guessed; ROLE is one of {', '.join(ROLES)}",
    )


def add_labelling_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--category`` and ``--mask-categories``, the parameters of the node."""
    parser.add_argument(
        "--category",
        default="",
        help=(
            "category of every mask id that --mask-categories does not name; 'any' finds it out; "
            "a bag's topic of labels is not looked at then"
        ),
    )
    parser.add_argument(
        "--mask-categories",
        nargs="+",
        default=[],
        metavar="ID:NAME",
        help="categories of mask ids, for example 1:mug 2:bowl; likewise",
    )


def label_rules(args: argparse.Namespace, categories: Categories) -> LabelRules | None:
    """The rules that `add_labelling_arguments`' arguments ask for; None where there are none.

    Raises:
        ConfigurationError: an argument is wrong.
    """
    return parse_label_rules(args.category, args.mask_categories, categories)


def estimator_config(args: argparse.Namespace) -> EstimatorConfig:
    """The configuration that `add_estimator_arguments`' arguments ask for."""
    return EstimatorConfig(
        encoder=args.encoder, refine=args.refine, device=args.device, weights_dir=args.weights
    )


def _choices(field: str) -> tuple[str, ...]:
    """What a `Literal` field of the estimator's configuration may be."""
    return tuple(get_args(get_type_hints(EstimatorConfig)[field]))


def _role_and_topic(text: str) -> tuple[str, str]:
    """Role and name of a bag's topic, from ``ROLE=NAME``."""
    role, _, topic = text.partition("=")
    if role not in ROLES or not topic.startswith("/"):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected ROLE=NAME with a role of {', '.join(ROLES)} and a name that "
            "starts with '/'"
        )
    return role, topic


def shard_of(text: str) -> tuple[int, int]:
    """Number from 0 and count of ``i/n``, which part of the work is this machine's; i is from 1."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r}: expected i/n with 1 <= i <= n")
    return int(match[1]) - 1, int(match[2])

"""Arguments shared by several commands."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, get_args, get_type_hints

from sdfpose_core.categories import Categories
from sdfpose_core.cli.category_choice import add_weights_argument
from sdfpose_core.cli.numbers import integer, real
from sdfpose_core.datasets.bags import ROLES
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.options import EstimatorOptions
from sdfpose_core.evaluation.nocs_protocol import IouName, MissPolicy
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.label_rules import parse_label_rules
from sdfpose_core.observation.depth_unit import parse_depth_unit

if TYPE_CHECKING:
    from sdfpose_core.estimation.config import EstimatorConfig

__all__ = [
    "add_depth_unit_argument",
    "add_device_argument",
    "add_estimator_arguments",
    "add_labelling_arguments",
    "add_protocol_arguments",
    "add_recording_arguments",
    "add_threads_argument",
    "add_topic_argument",
    "estimator_config",
    "label_rules",
    "shard_of",
]


def add_estimator_arguments(parser: argparse.ArgumentParser, *, device: str) -> None:
    """Declare the options of the estimator, such as ``--encoder`` and ``--device``.

    Args:
        parser: the command's parser.
        device: default device of the networks.
    """
    defaults = EstimatorOptions()
    parser.add_argument(
        "--encoder",
        choices=_choices("encoder"),
        default=defaults.encoder,
        help=(
            "source of hypotheses: fast is the trained network, ssc6d that of SSC-6D (Peng et al., "
            "AAAI 2022; import its weights first), none searches from upright poses "
            "(default: %(default)s)"
        ),
    )
    parser.add_argument(
        "--refine",
        choices=_choices("refine"),
        default=defaults.refine,
        help=(
            "refinement: on the signed distance field, by ICP as in SSC-6D, or none "
            "(default: %(default)s)"
        ),
    )
    parser.add_argument(
        "--upright",
        choices=_choices("upright"),
        default=defaults.upright,
        help=(
            "how usual it is that objects stand upright, against gravity or on their support "
            "plane: free makes no assumption, usual follows 'resting' in category.yaml, sure "
            "expects it of nearly all (default: %(default)s)"
        ),
    )
    parser.add_argument(
        "--category-trust",
        type=real(0.0, 1.0),
        default=defaults.category_trust,
        metavar="SHARE",
        help=(
            "probability that a detector's label with score 1 is right, from 0 to 1; a label that "
            "explains an object badly is doubted, 1 keeps them all; annotations are never doubted "
            "(default: %(default)s)"
        ),
    )
    parser.add_argument(
        "--min-known",
        type=real(0.0, 1.0),
        default=defaults.min_known,
        metavar="PROBABILITY",
        help=(
            "masks labelled 'any' or by a detector are skipped if they show an object of any of "
            "the categories with a smaller probability; 0 keeps all (default: %(default)s)"
        ),
    )
    parser.add_argument(
        "--colour",
        choices=_choices("colour"),
        default=defaults.colour,
        help=(
            "auto lets colour decide what depth leaves open, where it can; none ignores it "
            "(default: %(default)s)"
        ),
    )
    add_weights_argument(parser)
    add_device_argument(parser, device, "device of the networks: ")


def add_device_argument(parser: argparse.ArgumentParser, default: str, what: str = "") -> None:
    """Declare ``--device``.

    Args:
        parser: the command's parser.
        default: the default device.
        what: text in front of the possible values.
    """
    parser.add_argument(
        "--device", default=default, help=f"{what}auto, cpu or cuda[:N] (default: %(default)s)"
    )


def add_depth_unit_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``--depth-unit`` for commands that read frame folders or bags."""
    parser.add_argument(
        "--depth-unit",
        type=_depth_unit,
        metavar="M",
        help=(
            "metres per unit of depth, e.g. 0.0001 or 0.1mm (default: depth_unit of meta.json; "
            "else millimetres in 16-bit and metres in float images)"
        ),
    )


def add_recording_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--every``, ``--topic`` and ``--depth-unit`` for commands that read recordings."""
    parser.add_argument(
        "--every", type=integer(), default=1, metavar="N", help="use every N-th frame (default: 1)"
    )
    add_topic_argument(parser)
    add_depth_unit_argument(parser)


def add_topic_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``--topic`` for commands that read bags."""
    parser.add_argument(
        "--topic",
        action="append",
        type=_role_and_topic,
        default=[],
        metavar="ROLE=NAME",
        help=(
            f"bag topic to use for ROLE, one of {', '.join(ROLES)}; repeatable (default: found by "
            "message type and name)"
        ),
    )


def add_labelling_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--category`` and ``--mask-categories``, named like the node's parameters."""
    parser.add_argument(
        "--category",
        default="",
        help=(
            "category of all mask ids that --mask-categories does not list; 'any' lets the "
            "estimator find it; overrides the bag's label topic"
        ),
    )
    parser.add_argument(
        "--mask-categories",
        nargs="+",
        default=[],
        metavar="ID:NAME",
        help="categories of individual mask ids, e.g. 1:mug 2:bowl; override the bag's label topic",
    )


def add_threads_argument(parser: argparse.ArgumentParser, default: str = "all cores") -> None:
    """Declare ``--threads``, whose default is 0.

    Args:
        parser: the command's parser.
        default: meaning of 0.
    """
    parser.add_argument(
        "--threads",
        type=integer(0),
        default=0,
        metavar="N",
        help=f"CPU threads (default: {default})",
    )


def add_protocol_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--iou`` and ``--misses``, the variants of the NOCS protocol."""
    parser.add_argument(
        "--iou",
        choices=get_args(IouName),
        default="oriented",
        help=(
            "oriented: exact IoU of the oriented boxes; repaired: IoU of their bounding boxes "
            "along the camera axes, as in SSC-6D; legacy: as in the older NOCS code "
            "(default: %(default)s)"
        ),
    )
    parser.add_argument(
        "--misses",
        choices=get_args(MissPolicy),
        default="ignore",
        help=(
            "count or ignore objects without a matching box in the pose precision; published "
            "results ignore them (default: %(default)s)"
        ),
    )


def label_rules(args: argparse.Namespace, categories: Categories) -> LabelRules | None:
    """Build the label rules from the arguments of `add_labelling_arguments`; None without any.

    Raises:
        ConfigurationError: An argument is invalid.
    """
    return parse_label_rules(args.category, args.mask_categories, categories)


def estimator_config(args: argparse.Namespace) -> EstimatorConfig:
    """Build the estimator configuration from the arguments of `add_estimator_arguments`.

    Raises:
        ConfigurationError: a value is invalid.
    """
    # Imported here, because it imports torch, for which no help should wait.
    from sdfpose_core.estimation.config import EstimatorConfig

    return EstimatorConfig(
        encoder=args.encoder,
        refine=args.refine,
        device=args.device,
        upright=args.upright,
        category_trust=args.category_trust,
        min_known=args.min_known,
        colour=args.colour,
    )


def _choices(field: str) -> tuple[str, ...]:
    """Return the allowed values of a `Literal` field of `EstimatorOptions`."""
    return tuple(get_args(get_type_hints(EstimatorOptions)[field]))


def _depth_unit(text: str) -> float:
    """Parse a depth unit."""
    try:
        return parse_depth_unit(text, "the depth unit")
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _role_and_topic(text: str) -> tuple[str, str]:
    """Parse ``ROLE=NAME`` into the role and name of a bag topic."""
    role, _, topic = text.partition("=")
    if role not in ROLES or not topic.startswith("/"):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected ROLE=NAME, where ROLE is one of {', '.join(ROLES)} and NAME "
            "starts with '/'"
        )
    return role, topic


def shard_of(text: str) -> tuple[int, int]:
    """Parse a shard ``i/n`` (i from 1) into its index from 0 and the number of shards."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r}: expected i/n with 1 <= i <= n")
    return int(match[1]) - 1, int(match[2])

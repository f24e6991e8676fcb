"""Arguments that choose how the estimator works, the same for every command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args, get_type_hints

from sdfpose_core.estimator import EstimatorConfig

__all__ = ["add_estimator_arguments", "estimator_config"]


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


def estimator_config(args: argparse.Namespace) -> EstimatorConfig:
    """The configuration that `add_estimator_arguments`' arguments ask for."""
    return EstimatorConfig(
        encoder=args.encoder, refine=args.refine, device=args.device, weights_dir=args.weights
    )


def _choices(field: str) -> tuple[str, ...]:
    """What a `Literal` field of the estimator's configuration may be."""
    return tuple(get_args(get_type_hints(EstimatorConfig)[field]))

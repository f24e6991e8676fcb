"""Arguments whose choices the library declares."""

from __future__ import annotations

from typing import get_args, get_type_hints

from sdfpose_core.estimator import EstimatorConfig

__all__ = ["estimator_choices"]


def estimator_choices(field: str) -> tuple[str, ...]:
    """What a `Literal` field of the estimator's configuration may be."""
    return tuple(get_args(get_type_hints(EstimatorConfig)[field]))

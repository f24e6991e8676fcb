"""The optimiser Muon (Jordan et al., 2024), where the installed torch has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sdfpose_core.errors import ConfigurationError

__all__ = ["muon"]


def muon(groups: Sequence[dict[str, Any]], weight_decay: float) -> torch.optim.Optimizer:
    """Muon for hidden matrices.

    Args:
        groups: of parameters, all of them matrices.
        weight_decay: of all.

    Raises:
        ConfigurationError: torch is older than 2.9.
    """
    if not hasattr(torch.optim, "Muon"):
        raise ConfigurationError(
            f"torch {torch.__version__} has no optimiser Muon: training needs torch 2.9 or newer "
            "(pip install 'torch>=2.9')"
        )
    optimiser: torch.optim.Optimizer = torch.optim.Muon(list(groups), weight_decay=weight_decay)
    return optimiser

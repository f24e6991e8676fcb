"""Training checkpoints: written whole or not at all, read without running code from the file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from sdfpose_core.errors import WeightsError
from sdfpose_core.storage.files import replacing

__all__ = ["load_checkpoint", "load_published", "save_checkpoint"]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values; an interrupted write never replaces a good file."""
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint with torch's restricted unpickler: tensors and plain values only.

    Raises:
        WeightsError: the file is missing, damaged, or holds anything else.
    """
    return _load(path, "delete it to train from the start")


def load_published(path: Path) -> dict[str, Any]:
    """Read a ``.pth`` file from elsewhere, as `load_checkpoint` does: tensors and plain values.

    Raises:
        WeightsError: the file is missing, damaged, or can be read by running code from it alone.
    """
    return _load(
        path,
        "code from such files is never run: save the network's tensors alone, "
        "torch.save(network.state_dict(), FILE)",
    )


def _load(path: Path, advice: str) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused, it is damaged or holds more than tensors and plain values; {advice}"
        ) from error
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        raise WeightsError(f"{path}: not a readable checkpoint ({error}); {advice}") from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: holds a {type(state).__name__}: expected a checkpoint")
    return state

"""Training checkpoints: atomic writing, and loading that never executes code from the file."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from sdfpose_core.errors import WeightsError
from sdfpose_core.storage.files import atomic_replace

__all__ = ["load_checkpoint", "load_third_party", "save_checkpoint"]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Save tensors and plain values atomically.

    Raises:
        OSError: the file cannot be written.
    """
    content = io.BytesIO()  # torch's own file writer hides the reason of a failure
    torch.save(state, content)
    with atomic_replace(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint of tensors and plain values with torch's restricted unpickler.

    Raises:
        WeightsError: the file is missing, damaged, or contains other objects.
    """
    return _load(path, "delete it to train from scratch")


def load_third_party(path: Path) -> dict[str, Any]:
    """Load a third-party ``.pth`` file of tensors and plain values, like `load_checkpoint`.

    Raises:
        WeightsError: the file is missing, damaged, or contains other objects.
    """
    return _load(
        path,
        "code from such files is never executed: save the tensors only, with "
        "torch.save(network.state_dict(), FILE)",
    )


def _load(path: Path, advice: str) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused, it is damaged or contains more than tensors and plain values; "
            f"{advice}"
        ) from error
    except Exception as error:  # the unpickler raises arbitrary errors for damaged files
        raise WeightsError(f"{path}: not a readable checkpoint ({error}); {advice}") from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: contains a {type(state).__name__}: expected a checkpoint dict")
    return state

"""Load decoders of any supported network from weights files."""

from __future__ import annotations

from pathlib import Path

import torch

from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf
from sdfpose_core.weights import weights_kind

__all__ = ["load_decoder"]


def load_decoder(path: Path | str, device: torch.device | None = None) -> SdfDecoder | DeepSdf:
    """Load the decoder of the kind given in the file's header, in evaluation mode.

    Raises:
        WeightsError: the file is missing, damaged, or contains no decoder.
    """
    if weights_kind(path, "decoder") == DeepSdf.KIND:
        return DeepSdf.load(path, device)
    return SdfDecoder.load(path, device)

"""Decoders from weights files, whichever network they hold."""

from __future__ import annotations

from pathlib import Path

import torch

from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DEEPSDF_KIND, DeepSdf
from sdfpose_core.weights import weights_kind

__all__ = ["load_decoder"]


def load_decoder(path: Path | str, device: torch.device | None = None) -> SdfDecoder | DeepSdf:
    """The decoder, in evaluation mode, of the network that the file says it holds.

    Raises:
        WeightsError: the file is missing, damaged, or holds no decoder.
    """
    if weights_kind(path, "decoder") == DEEPSDF_KIND:
        return DeepSdf.load(path, device)
    return SdfDecoder.load(path, device)

"""Errors of mask backends."""

from __future__ import annotations

from sdfpose_core.errors import SdfposeError

__all__ = ["MaskBackendError"]


class MaskBackendError(SdfposeError):
    """A mask backend with a missing package, missing weights or an unusable result."""

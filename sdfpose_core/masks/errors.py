"""What keeps masks from being made."""

from __future__ import annotations

from sdfpose_core.errors import SdfposeError

__all__ = ["MaskBackendError"]


class MaskBackendError(SdfposeError):
    """A source of masks that lacks a package, its weights or a usable answer."""

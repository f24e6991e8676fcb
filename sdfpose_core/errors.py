"""Exceptions of the library: each says what was wrong, what was expected and what to do."""

from __future__ import annotations

__all__ = [
    "BagError",
    "CategoryError",
    "ConfigurationError",
    "DeviceError",
    "ExportError",
    "FrameError",
    "MeshError",
    "PickleError",
    "SdfposeError",
    "ShapeError",
    "WeightsError",
]


class SdfposeError(Exception):
    """Base class of everything that sdfpose raises on purpose."""


class ConfigurationError(SdfposeError):
    """A configuration file or a parameter has a missing, unknown or ill-typed key."""


class CategoryError(SdfposeError):
    """A category name that is not in the table of categories."""


class BagError(SdfposeError):
    """A bag of messages that cannot be read or played."""


class ExportError(SdfposeError):
    """A network that cannot be written for other runtimes, or does not compute the same there."""


class FrameError(SdfposeError):
    """An RGB-D frame (or one of its files) that cannot be used."""


class MeshError(SdfposeError):
    """A mesh from which no solid shape can be made."""


class PickleError(SdfposeError):
    """A pickle that is missing, damaged or would build more than plain data."""


class WeightsError(SdfposeError):
    """A weights file that is missing, damaged or made for another architecture."""


class ShapeError(SdfposeError, ValueError):
    """A tensor argument of another shape than documented."""


class DeviceError(SdfposeError):
    """A compute device that was asked for and is not there."""


class VerificationError(SdfposeError):
    """A test of a tracked pose that was lost."""

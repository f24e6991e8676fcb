"""Exceptions of the library. Messages say what was wrong, what was expected and what to do."""

from __future__ import annotations

__all__ = [
    "BagError",
    "CategoryError",
    "ConfigurationError",
    "DeviceError",
    "ExportError",
    "FrameError",
    "MeshError",
    "PackError",
    "PickleError",
    "ScanError",
    "SdfposeError",
    "ShapeError",
    "WeightsError",
]


class SdfposeError(Exception):
    """Base class of all exceptions that sdfpose raises deliberately."""


class ConfigurationError(SdfposeError):
    """A configuration or parameter has a missing or unknown key, or a value of the wrong type."""


class CategoryError(SdfposeError):
    """A category name is not in the table of categories."""


class BagError(SdfposeError):
    """A ROS bag cannot be read or replayed."""


class ExportError(SdfposeError):
    """A network cannot be exported, or the exported network computes different results."""


class FrameError(SdfposeError):
    """An RGB-D frame, or one of its files, is unusable."""


class MeshError(SdfposeError):
    """A mesh cannot be used, e.g. because it does not bound a solid."""


class PickleError(SdfposeError):
    """A pickle is missing or damaged, or contains anything but plain data."""


class ScanError(SdfposeError):
    """A recording of an object cannot become a mesh, e.g. because its images do not fit."""


class WeightsError(SdfposeError):
    """A weights file is missing, damaged or made for another architecture."""


class PackError(WeightsError):
    """A pack is incomplete, damaged, of another format, or collides with another one."""


class ShapeError(SdfposeError, ValueError):
    """A tensor argument does not have the documented shape."""


class DeviceError(SdfposeError):
    """The requested compute device is not available."""


class VerificationError(SdfposeError):
    """The result of a verification was lost."""

"""Optional packages of the viewer, in a module that loads quickly."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata

from sdfpose_core.errors import SdfposeError

__all__ = ["ViewerError", "require_rerun", "require_viser"]

_VISER, _RERUN = "1.1.1", "0.41"
"""Oldest versions, as in pyproject.toml."""


class ViewerError(SdfposeError):
    """The viewer cannot be started, or a file for one not be written."""


def require_viser() -> None:
    """Check that Viser is installed, without importing it.

    Raises:
        ViewerError: it is not, or it is too old.
    """
    problem = _problem("viser", "viser", _VISER)
    if problem:
        raise ViewerError(
            f"the viewer needs the package viser, {problem}: run 'pip install "
            f'"viser>={_VISER}"\', or leave the viewer out'
        )


def require_rerun() -> None:
    """Check that Rerun is installed, without importing it.

    Raises:
        ViewerError: it is not, or it is too old.
    """
    problem = _problem("rerun", "rerun-sdk", _RERUN)
    if problem:
        raise ViewerError(
            f"files for Rerun need the package rerun-sdk, {problem}: run 'pip install "
            f'"rerun-sdk>={_RERUN}"\' in this environment (Python 3.11 or later, 170 MB)'
        )


def _problem(module: str, distribution: str, oldest: str) -> str:
    """Why a package cannot be used; empty if it can."""
    if importlib.util.find_spec(module) is None:
        return "which is not installed"
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""  # a source folder in the path
    if _numbers(version) < _numbers(oldest):
        return f"of which version {version} is installed, but {oldest} or later is expected"
    return ""


def _numbers(version: str) -> list[int]:
    """The first three numbers of a version."""
    return [int(x) for x in re.findall(r"\d+", version)[:3]]

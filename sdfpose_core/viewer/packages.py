"""Optional packages of the viewer, in a module that loads quickly."""

from __future__ import annotations

import importlib.util

from sdfpose_core.errors import SdfposeError

__all__ = ["ViewerError", "require_rerun", "require_viser"]


class ViewerError(SdfposeError):
    """The viewer cannot be started, or a file for one not be written."""


def require_viser() -> None:
    """Check that Viser is installed, without importing it.

    Raises:
        ViewerError: it is not.
    """
    if importlib.util.find_spec("viser") is None:
        raise ViewerError(
            "the viewer needs the package viser, which is not installed: run 'pip install "
            '"viser>=1.1.1"\', or leave the viewer out'
        )


def require_rerun() -> None:
    """Check that Rerun is installed, without importing it.

    Raises:
        ViewerError: it is not.
    """
    if importlib.util.find_spec("rerun") is None:
        raise ViewerError(
            'files for Rerun need the package rerun-sdk, which is not installed: run "pip install '
            "'sdfpose[rerun]'\" in this environment (Python 3.11 or later, 170 MB)"
        )

"""Names that have to do with the orientations of models. Without torch, for command lines."""

from __future__ import annotations

from typing import Literal

__all__ = ["ALIGNMENT_FILE", "ALIGNMENT_SHEET", "Front"]

ALIGNMENT_FILE = "alignment.yaml"
"""Name of the file of the orientations, in the work folder."""

ALIGNMENT_SHEET = "alignment.png"
"""Name of the picture of the orientations, in the work folder."""

Front = Literal["auto", "x", "z", "none"]
"""Where files have the front: ``auto`` lets the models agree, ``none`` says that there is none."""

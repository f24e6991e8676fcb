"""Names of the losses of self-supervised training. Without torch, for command lines."""

from __future__ import annotations

from typing import Literal

__all__ = ["LossesName"]

LossesName = Literal["certified", "paper"]
"""``certified`` learns from refined estimates that pass a check; ``paper`` has the losses of SSC-6D
(Peng et al., AAAI 2022)."""

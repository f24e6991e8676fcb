"""ONNX operator sets. Without torch, for command lines."""

from __future__ import annotations

__all__ = ["DEFAULT_OPSET", "OPSETS"]

OPSETS = range(14, 21)
"""Supported ONNX opset versions."""

DEFAULT_OPSET = 17

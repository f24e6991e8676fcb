"""Wall-clock times of work on a CPU or GPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

__all__ = ["elapsed_ms", "median_ms"]


def elapsed_ms(work: Callable[[], object], device: torch.device) -> float:
    """Time a call in milliseconds, including the GPU work that it starts.

    Args:
        work: function to time.
        device: device on which it computes.
    """
    _synchronise(device)
    start = time.perf_counter()
    work()
    _synchronise(device)
    return 1e3 * (time.perf_counter() - start)


def median_ms(work: Callable[[], object], repetitions: int, device: torch.device) -> float:
    """Return the median of `elapsed_ms` over repetitions, after one warm-up run."""
    work()
    return float(np.median([elapsed_ms(work, device) for _ in range(repetitions)]))


def _synchronise(device: torch.device) -> None:
    """Wait until all work on the GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""Wall times of work on a CPU or a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

__all__ = ["elapsed_ms", "median_ms"]


def elapsed_ms(work: Callable[[], object], device: torch.device) -> float:
    """Milliseconds from the call to the end of the work, also of what a GPU does meanwhile.

    Args:
        work: without arguments.
        device: where it computes.
    """
    _settle(device)
    start = time.perf_counter()
    work()
    _settle(device)
    return 1e3 * (time.perf_counter() - start)


def median_ms(work: Callable[[], object], repetitions: int, device: torch.device) -> float:
    """Median of `elapsed_ms` over repetitions, after one run that does not count."""
    work()
    return float(np.median([elapsed_ms(work, device) for _ in range(repetitions)]))


def _settle(device: torch.device) -> None:
    """Wait until a GPU has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

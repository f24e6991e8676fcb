"""Compute device and number of CPU threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import cv2
import torch
from threadpoolctl import threadpool_limits

from sdfpose_core.errors import DeviceError

__all__ = ["adopt_threads", "all_threads", "has_fast_bfloat16", "resolve_device", "set_threads"]


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Resolve ``auto | cpu | cuda | cuda:N`` to an available device.

    Args:
        name: ``auto`` selects the first GPU, or the CPU if there is no GPU.

    Raises:
        DeviceError: the name is unknown, or the requested GPU is not available.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(
            f"device '{name}' is unknown: expected 'auto', 'cpu', 'cuda' or 'cuda:N'"
        ) from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device '{name}' is not supported: expected 'auto', 'cpu' or 'cuda[:N]'")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(
                f"device '{name}' was requested, but torch {torch.__version__} sees {count} "
                "CUDA device(s): use 'cpu' or 'auto', or install a CUDA build of torch"
            )
    return device


_BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""Features of processors, as Linux names them, that multiply in bfloat16."""


def has_fast_bfloat16(device: torch.device) -> bool:
    """Check whether a device has units that multiply in bfloat16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return not _BFLOAT16_FLAGS.isdisjoint(_processor_features())


@lru_cache(maxsize=1)
def _processor_features() -> frozenset[str]:
    """Features of the processor that Linux lists; none on other systems."""
    path = Path("/proc/cpuinfo")
    return frozenset(path.read_text(encoding="utf-8").split()) if path.is_file() else frozenset()


_BUSY_LOAD = 1.5
"""Mean number of running processes per core in the last minute from which on a machine is busy."""

_threads = 0
_all_threads = 0
_considerate = False


def set_threads(count: int = 0, *, considerate: bool = False) -> None:
    """Set the number of CPU threads of torch, BLAS and OpenCV in this process.

    Args:
        count: number of threads. 0 means all cores but one, and all cores within `all_threads`.
            One core stays free because a thread that waits for a busy core delays the others.
        considerate: for the same reason, take all cores only while the machine is not busy. The
            last digits of results depend on the number of threads.
    """
    global _threads, _all_threads, _considerate
    cores = os.cpu_count() or 1
    _all_threads = count or cores
    _considerate = considerate and count == 0
    _threads = count = count or max(1, cores - 1)
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    threadpool_limits(count, user_api="blas")


def adopt_threads() -> None:
    """Make `set_threads` hold in the calling thread.

    OpenMP has a number of threads for each thread that calls it. In one that was started later,
    convolutions of torch would use all cores.
    """
    if _threads and torch.get_num_threads() != _threads:
        torch.set_num_threads(_threads)


@contextmanager
def all_threads() -> Iterator[None]:
    """Give torch more threads temporarily, for rare and long computations.

    Uses all cores if `set_threads` was called with 0. Otherwise, and on a busy machine if it was
    called with `considerate`, the number of threads stays as it is.
    """
    before = torch.get_num_threads()
    if not (_considerate and os.getloadavg()[0] > _BUSY_LOAD * (os.cpu_count() or 1)):
        torch.set_num_threads(max(before, _all_threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)

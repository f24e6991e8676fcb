"""Where networks run: devices by name, and threads of the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch
from threadpoolctl import threadpool_limits

from sdfpose_core.errors import DeviceError

__all__ = ["all_threads", "resolve_device", "use_threads"]


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Turn ``auto | cpu | cuda | cuda:N`` into a device that exists.

    Args:
        name: ``auto`` takes the first GPU where there is one, else the CPU.

    Raises:
        DeviceError: the name is unknown, or the GPU that it names is not there.
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
                f"device '{name}' was asked for, but torch {torch.__version__} sees {count} "
                "CUDA device(s): use 'cpu' or 'auto', or install a CUDA build of torch"
            )
    return device


_all_threads = 0


def use_threads(count: int = 0) -> None:
    """Set the CPU threads of the networks, of NumPy's products and of OpenCV in this process.

    Args:
        count: number of threads. 0 means all cores but one, and all of them within `all_threads`:
            one thread that waits for a busy core holds up the others.
    """
    global _all_threads
    cores = os.cpu_count() or 1
    _all_threads = count or cores
    count = count or max(1, cores - 1)
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    threadpool_limits(count, user_api="blas")


@contextmanager
def all_threads() -> Iterator[None]:
    """More threads for the networks, for work that comes seldom and takes long.

    All cores, unless `use_threads` was told of a number of threads, or not called.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(before, _all_threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)

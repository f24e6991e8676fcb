"""Training in several processes on one or more machines (``torchrun``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sdfpose_core.device import resolve_device
from sdfpose_core.errors import ConfigurationError

__all__ = [
    "average_gradients",
    "data_parallel",
    "first_process_first",
    "is_main_process",
    "process_count",
    "process_group",
    "process_slice",
]

_TIMEOUT = timedelta(hours=12)
"""The other processes wait this long while the first one prepares the training data."""


@contextmanager
def process_group(device_name: str) -> Iterator[torch.device]:
    """Join the process group if ``torchrun`` started several processes; yield the own device.

    The backend is NCCL on GPUs and gloo on CPUs.

    Args:
        device_name: ``auto | cpu | cuda[:N]``; with several GPUs, each process uses its own.

    Raises:
        DeviceError: the device is not available.
    """
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield resolve_device(device_name)
        return
    device = resolve_device(device_name)
    if device.type == "cuda":
        device = resolve_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    torch.distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT
    )
    try:
        yield device
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def first_process_first() -> Iterator[None]:
    """Run the block in the first process, then in the others, which can read its files."""
    if not is_main_process():
        torch.distributed.barrier()
    yield
    if is_main_process() and _world() > 1:
        torch.distributed.barrier()


def is_main_process() -> bool:
    """Whether this is the first process, which writes files and logs progress."""
    return _rank() == 0


def process_count() -> int:
    """Number of processes that train together."""
    return _world()


def data_parallel(network: nn.Module, batch: int) -> Any:
    """Wrap a network so that its gradients are averaged over all processes.

    Args:
        network: initialised with the same weights in all processes.
        batch: items per step over all processes.

    Raises:
        ConfigurationError: the batch is not divisible by the number of processes.
    """
    process_slice(batch)
    return network if _world() == 1 else DistributedDataParallel(network)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average gradients over all processes, as if each process had seen all items.

    Use it for losses that differentiate twice, which `data_parallel` does not support.

    Args:
        parameters: parameters with gradients in every process.
    """
    if _world() == 1:
        return
    for parameter in parameters:
        assert parameter.grad is not None
        torch.distributed.all_reduce(parameter.grad)
        parameter.grad /= _world()


def process_slice(count: int) -> slice:
    """Return the slice of a step's items that this process computes.

    Raises:
        ConfigurationError: `count` is not divisible by the number of processes.
    """
    if count % _world():
        raise ConfigurationError(
            f"{count} items per step cannot be divided among {_world()} processes: expected a "
            "multiple of the number of processes"
        )
    share = count // _world()
    return slice(_rank() * share, (_rank() + 1) * share)


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def _world() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1

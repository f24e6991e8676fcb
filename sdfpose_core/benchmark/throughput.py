"""Measure which fraction of the machine's peak performance the decoder reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from sdfpose_core.benchmark.stopwatch import elapsed_ms
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder

__all__ = ["Throughput", "jacobian_flops", "measure_throughput", "value_flops"]

_SIDES = {"cpu": (256, 512, 1024), "cuda": (2048, 4096, 8192)}
"""Sides of the square matrices whose products measure the peak performance."""

_POINTS = {"cpu": 16384, "cuda": 262144}
"""Number of points at which the decoder is evaluated."""


@dataclass(frozen=True)
class Throughput:
    """Measured throughput, GFLOP/s.

    Attributes:
        matmul: product of two square float32 matrices, the machine's peak.
        values: evaluation of the decoder.
        jacobian: evaluation of the decoder with derivatives with respect to point and code.
    """

    matmul: float
    values: float
    jacobian: float


def value_flops(config: DecoderConfig) -> int:
    """Count the floating-point operations of the decoder per point.

    Counts the matrix products, two operations per multiply-add. The activations, and the terms of
    the latent code, which are the same for all points, are not counted.
    """
    width = config.width
    return 2 * (4 * width + (config.hidden_layers - 1) * width**2 + width)


def jacobian_flops(config: DecoderConfig) -> int:
    """Count as `value_flops`, including the derivatives with respect to point and code."""
    width, layers = config.width, config.hidden_layers
    backward = (layers - 1) * width**2 + 4 * width + layers * width * config.code_length
    return value_flops(config) + 2 * backward


@torch.no_grad()
def measure_throughput(
    decoder: SdfDecoder,
    repetitions: int,
    *,
    points: int | None = None,
    sides: Sequence[int] = (),
) -> Throughput:
    """Measure peak and decoder alternately, since a machine's speed varies over time.

    Args:
        decoder: decoder to measure, for one object.
        repetitions: runs per median, after one warm-up run.
        points: number of points per evaluation; default: enough to keep the device busy.
        sides: sides of the square matrices, of which the fastest counts; default: by device.
    """
    device = decoder.device
    count = points or _POINTS[device.type]
    sides = sides or _SIDES[device.type]
    random = torch.Generator().manual_seed(0)
    q = (torch.rand(1, count, 3, generator=random) - 0.5).to(device)
    code = decoder.code_mean.unsqueeze(0)
    work: dict[str, tuple[float, Callable[[], object]]] = {
        "values": (float(count * value_flops(decoder.config)), partial(decoder, q, code)),
        "jacobian": (
            float(count * jacobian_flops(decoder.config)),
            partial(decoder.value_and_jacobian, q, code),
        ),
    }
    for side in sides:
        # Repeat small products so that each size has as many operations as the largest.
        products = (max(sides) // side) ** 3
        a, b = (torch.rand(side, side, generator=random).to(device) for _ in range(2))
        work[f"matmul {side}"] = (2.0 * products * side**3, partial(_multiply, a, b, products))
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repetitions + 1):
        for name, (_, run) in work.items():
            times[name].append(elapsed_ms(run, device))
    gflops = {
        name: 1e-6 * flops / float(np.median(times[name][1:])) for name, (flops, _) in work.items()
    }
    return Throughput(
        max(x for name, x in gflops.items() if name.startswith("matmul")),
        gflops["values"],
        gflops["jacobian"],
    )


def _multiply(a: torch.Tensor, b: torch.Tensor, products: int) -> None:
    out = torch.empty_like(a)
    for _ in range(products):
        torch.mm(a, b, out=out)

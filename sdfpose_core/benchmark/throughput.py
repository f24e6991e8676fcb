"""How much of the machine's peak the decoder reaches."""

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
"""Of the square matrices whose products are the measure of the peak."""

_POINTS = {"cpu": 16384, "cuda": 262144}
"""At which the decoder is evaluated."""


@dataclass(frozen=True)
class Throughput:
    """What was reached, in 1e9 floating point operations per second.

    Attributes:
        matmul: by the product of two square float32 matrices: the machine's peak.
        values: by the decoder's values.
        jacobian: by its values with their derivatives by point and code.
    """

    matmul: float
    values: float
    jacobian: float


def value_flops(config: DecoderConfig) -> int:
    """Floating point operations per point of the decoder's values.

    Those of its matrix products, two per multiplication with addition. What is the same for all
    points, the code's share, and the activations are left out.
    """
    width = config.width
    return 2 * (4 * width + (config.hidden_layers - 1) * width**2 + width)


def jacobian_flops(config: DecoderConfig) -> int:
    """As `value_flops`, with the derivatives by point and code."""
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
    """Measure peak and decoder in turns: a machine's speed changes from minute to minute.

    Args:
        decoder: of one object.
        repetitions: the medians of so many count, after one that does not.
        points: at which it is evaluated; by default as many as keep the device busy.
        sides: of the square matrices, the best of which counts; by default the device's.
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
        # As many products of small matrices as take the time of one of the largest.
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

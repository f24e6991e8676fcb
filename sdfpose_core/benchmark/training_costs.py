"""Estimated time and memory of preparing, training and evaluating the networks of SSC-6D.

The rates were measured on one core of a CPU, not on a GPU; docs/reproduce.md says how.
"""

from __future__ import annotations

from dataclasses import dataclass

from sdfpose_core.encoder.ssc6d import Ssc6dConfig
from sdfpose_core.encoder.ssc6d_training import Ssc6dTrainingConfig
from sdfpose_core.sdf.deepsdf_training import DeepSdfTrainingConfig

__all__ = ["Cost", "decoder_cost", "encoder_cost", "evaluation_cost", "preparation_cost"]

_PREPARE_S = 0.16
"""Seconds for an image of 640 x 480 pixels with five objects."""

_PREPARE_GIB = 0.5
"""Memory of a process: 0.2 with one image, the rest is assumed for long scenes."""

_DECODER_OPERATIONS_PER_S = 48e9
"""Floating-point operations; see docs/shapes.md."""

_DECODER_GIB, _SAMPLE_GIB = 0.5, 3.5 / 65_536
"""Memory of a training, and of each sample of the 8 x 512 network."""

_VIEW_S = 1.25
"""Seconds for a labelled view of 192 x 192 pixels in a step of the published network."""

_UNLABELLED_VIEW = 3.0
"""Time of an unlabelled view relative to a labelled one."""

_ENCODER_GIB, _VIEW_GIB = 0.8, 0.14
"""Memory of a training, and of each view of a step."""

_EVALUATE_S = 6.0
"""Seconds for an image with five detections, without the time of ICP."""

_EVALUATE_GIB = 1.0

_HOUR_S = 3600.0


@dataclass(frozen=True)
class Cost:
    """Estimated cost; None where it is unknown.

    Attributes:
        hours: time of one CPU core, hours.
        memory_gib: peak memory, GiB.
    """

    hours: float | None = None
    memory_gib: float | None = None

    def __str__(self) -> str:
        if self.hours is None:
            time = "time unknown"
        else:
            number = f"{self.hours:.0f}" if self.hours >= 10.0 else f"{self.hours:.2g}"
            time = f"about {number} core hours"
        return time if self.memory_gib is None else f"{time}, {self.memory_gib:.1f} GiB"


def preparation_cost(images: int, processes: int) -> Cost:
    """Cost of preparing images of the NOCS data; the time is unknown without images."""
    return Cost(_PREPARE_S * images / _HOUR_S or None, _PREPARE_GIB * processes)


def decoder_cost(config: DeepSdfTrainingConfig, shapes: int) -> Cost:
    """Cost of training a decoder; the time is unknown without shapes."""
    network = config.decoder
    steps = config.epochs * max(1, shapes // config.shapes_per_step)
    samples = steps * config.shapes_per_step * config.points_per_shape
    operations = 6.0 * (network.hidden_layers - 1) * network.width**2 * samples
    at_once = max(config.points_at_once, config.points_per_shape)
    return Cost(
        operations / _DECODER_OPERATIONS_PER_S / _HOUR_S if shapes else None,
        _DECODER_GIB + _SAMPLE_GIB * at_once * network.width / 512,
    )


def encoder_cost(config: Ssc6dTrainingConfig, network: Ssc6dConfig, unlabelled: int = 0) -> Cost:
    """Cost of training an encoder.

    Args:
        config: settings of the training, with the number of labelled views per step.
        network: architecture.
        unlabelled: unlabelled views per step.
    """
    size = (network.width / 64) ** 2 * (network.image_size / 192) ** 2
    seconds = config.steps * (config.batch + _UNLABELLED_VIEW * unlabelled) * _VIEW_S * size
    return Cost(seconds / _HOUR_S, _ENCODER_GIB + _VIEW_GIB * (config.batch + unlabelled) * size)


def evaluation_cost(images: int) -> Cost:
    """Cost of evaluating images; the time is unknown without images."""
    return Cost(_EVALUATE_S * images / _HOUR_S or None, _EVALUATE_GIB)

"""Time the paper's pipeline: the networks of SSC-6D, a dense grid, and ICP.

SSC-6D (Peng et al., AAAI 2022) encodes colour crops, evaluates DeepSDF on a dense 64^3 grid, and
refines the pose by ICP with the surface. The networks have random weights here, which do not affect
the speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sdfpose_core.benchmark.meshing import DenseMesher
from sdfpose_core.benchmark.stopwatch import elapsed_ms, median_ms
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.refine.icp import icp_threshold_m, refine_icp
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.simulation.rotations import about

__all__ = ["Observed", "PaperConfig", "time_paper"]

_MAX_ENCODINGS = 5
"""Maximum number of encodings per median, because each takes long."""

_PERTURBATION_DEG, _PERTURBATION_M = 2.0, 0.002
"""Error of the start pose of ICP."""


@dataclass(frozen=True)
class PaperConfig:
    """Configuration of the paper's pipeline.

    Attributes:
        encoder: configuration of the pose network.
        decoder: configuration of the decoder.
        resolution: cells per axis of the dense grid.
        meshes: number of meshes per median.
    """

    encoder: Ssc6dConfig = field(default_factory=Ssc6dConfig)
    decoder: DeepSdfConfig = field(default_factory=DeepSdfConfig)
    resolution: int = 64
    meshes: int = 3


@dataclass(frozen=True)
class Observed:
    """An observed object with its estimate.

    Attributes:
        instance: measurements of the object, with colour.
        estimate: estimated pose.
        surface: (V, 3) float32 vertices, normalised object units, decoder frame.
    """

    instance: Instance
    estimate: ObjectEstimate
    surface: NDArray[np.float32]


def time_paper(
    config: PaperConfig, observed: Sequence[Observed], repetitions: int, device: torch.device
) -> dict[str, float]:
    """Time the paper's pipeline.

    Args:
        config: configuration of networks and grid.
        observed: objects of one frame.
        repetitions: runs per median, after one warm-up run; the encoder has at most
            `_MAX_ENCODINGS`.
        device: device of the networks.

    Returns:
        Milliseconds per object. ``encode``: all instances in one batch, including the crops;
        ``mesh``: the surface of one object, equal for all; ``icp``: mean over the objects;
        ``total``: the sum.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = Ssc6dEncoder(config.encoder).eval().requires_grad_(False).to(device)
        decoder = DeepSdf(config.decoder).eval().requires_grad_(False).to(device)
    encode = _encode_ms(encoder, [x.instance for x in observed], min(repetitions, _MAX_ENCODINGS))
    mesher = DenseMesher(decoder, torch.zeros_like(decoder.code_mean), level=None)
    mesher = DenseMesher(decoder, mesher.code, mesher.best_chunk(), level=None)
    mesh = float(
        np.median(
            [elapsed_ms(partial(mesher, config.resolution), device) for _ in range(config.meshes)]
        )
    )
    icp = float(np.mean([_icp_ms(x, repetitions) for x in observed]))
    return {"encode": encode, "mesh": mesh, "icp": icp, "total": encode + mesh + icp}


def _encode_ms(encoder: Ssc6dEncoder, instances: Sequence[Instance], repetitions: int) -> float:
    def encode() -> None:
        encoder.encode(instances, [np.random.default_rng(x.mask_id) for x in instances])

    return median_ms(encode, repetitions, encoder.device) / len(instances)


def _icp_ms(observed: Observed, repetitions: int) -> float:
    """Time ICP from a perturbed pose."""
    x = observed.estimate
    axis = np.array([1.0, 1.0, 1.0]) / np.sqrt(3.0)
    refine = partial(
        refine_icp,
        x.decoder_scale * observed.surface,
        observed.instance.points,
        about(axis, np.deg2rad(_PERTURBATION_DEG)) @ x.rotation,
        x.decoder_translation + _PERTURBATION_M * axis,
        icp_threshold_m(x.category),
    )
    # Open3D has its own threads; use as many as the networks do.
    with threadpool_limits(torch.get_num_threads(), user_api="openmp"):
        return median_ms(refine, repetitions, torch.device("cpu"))

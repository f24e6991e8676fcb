"""How long the paper's configuration takes: SSC-6D's networks, a dense grid, and ICP.

SSC-6D (AAAI 2022) encodes colour crops, evaluates DeepSDF's network on all of a 64^3 grid, and
refines the pose by ICP of the surface. Its networks have random weights here: speed does not depend
on them.
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

_ENCODINGS = 5
"""The median of no more counts: they take long."""

_OFF_DEG, _OFF_M = 2.0, 0.002
"""By how much ICP's start is wrong."""


@dataclass(frozen=True)
class PaperConfig:
    """What the paper computes.

    Attributes:
        encoder: its pose network.
        decoder: its decoder.
        resolution: cells along each axis of the dense grid.
        meshes: the median of so many counts.
    """

    encoder: Ssc6dConfig = field(default_factory=Ssc6dConfig)
    decoder: DeepSdfConfig = field(default_factory=DeepSdfConfig)
    resolution: int = 64
    meshes: int = 3


@dataclass(frozen=True)
class Observed:
    """An object of a frame.

    Attributes:
        instance: what was measured, with colour.
        estimate: of its pose.
        surface: (V, 3) float32, normalised object units, vertices in the decoder's frame.
    """

    instance: Instance
    estimate: ObjectEstimate
    surface: NDArray[np.float32]


def time_paper(
    config: PaperConfig, observed: Sequence[Observed], repetitions: int, device: torch.device
) -> dict[str, float]:
    """Milliseconds per object.

    Args:
        config: the networks and the grid.
        observed: the objects of one frame.
        repetitions: the medians of so many count, after one that does not; of encodings, of
            `_ENCODINGS` at most.
        device: where the networks run.

    Returns:
        ``encode``: all instances in one batch, with their crops; ``mesh``: the surface of one
        object, as long for any; ``icp``: the mean over the objects; ``total``: their sum.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = Ssc6dEncoder(config.encoder).eval().requires_grad_(False).to(device)
        decoder = DeepSdf(config.decoder).eval().requires_grad_(False).to(device)
    encode = _encode_ms(encoder, [x.instance for x in observed], min(repetitions, _ENCODINGS))
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
    """ICP from a slightly wrong pose."""
    x = observed.estimate
    axis = np.array([1.0, 1.0, 1.0]) / np.sqrt(3.0)
    refine = partial(
        refine_icp,
        x.decoder_scale * observed.surface,
        observed.instance.points,
        about(axis, np.deg2rad(_OFF_DEG)) @ x.rotation,
        x.decoder_translation + _OFF_M * axis,
        icp_threshold_m(x.category),
    )
    # Open3D has threads of its own, which are as many as those of the networks.
    with threadpool_limits(torch.get_num_threads(), user_api="openmp"):
        return median_ms(refine, repetitions, torch.device("cpu"))

"""Multi-view refinement: one size and shape that explain all keyframes of an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.evidence import EvidenceSampler
from sdfpose_core.estimation.hypotheses import NetworkPriorConfig
from sdfpose_core.estimation.keyframes import Keyframes, decoder_states
from sdfpose_core.estimation.report import RefinedHypothesis
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.refine.solver import RefineConfig, Solution, refine_multiview, total_cost
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.refine.world_pose import KnownCameras

__all__ = ["refine_keyframes"]

_ITERATIONS, _ITERATIONS_OF_ALL = 8, 2
"""Iterations of the solver. After the first few, only the best start goes on."""

_POINTS = 128
"""Observed points per keyframe: there are several keyframes."""

_MIN_CAMERAS = 2

_LEAST_ROTATION_SD, _LEAST_PLACE_SD_M = 1e-3, 5e-4
"""Camera poses are never trusted to be more accurate than this, radians and metres."""

_SAME_CODE_SD, _SAME_SIZE = 1.0, 0.005
"""Mahalanobis distance of codes and relative change of size below which a shape stays the same."""


def refine_keyframes(
    model: CategoryModel,
    keyframes: Keyframes,
    instance: Instance,
    estimates: Sequence[ObjectEstimate],
    sampler: EvidenceSampler,
    network_prior: NetworkPriorConfig,
    config: RefineConfig,
) -> tuple[Keyframes, RefinedHypothesis]:
    """Add a keyframe, and refine size and shape so that they explain all keyframes best.

    Keyframes with a camera pose show the object at one place: they share its pose in the world.

    Args:
        model: of the object's category.
        keyframes: the keyframes before.
        instance: what the new image measured.
        estimates: of the instance. The first one is consistent with the other keyframes; size and
            shape are refined from it and, with all keyframes moved accordingly, from the others.
        sampler: of the evidence.
        network_prior: how strongly the network's prediction counts.
        config: weights of the refinement's terms.

    Returns:
        All keyframes, and the hypothesis in the new one: at the common pose if it has one.
    """
    device = model.device
    first = decoder_states(estimates[:1], device)
    keyframes = keyframes.to(device).with_view(instance, first)
    views = len(keyframes.instances)
    starts = ShapePose.cat(
        [keyframes.state]
        + [keyframes.reshaped(first, decoder_states([x], device)) for x in estimates[1:]]
    )
    encoding = model.encode(keyframes.instances, [sampler.rng(x) for x in keyframes.instances])
    priors = model.priors_at(keyframes.state.similarity.rotation, encoding, network_prior)
    evidence = sampler(keyframes.instances, [model.category] * views).subsampled(_POINTS)
    cameras = _known_cameras(keyframes)
    repeated = torch.arange(views, device=device).repeat(len(estimates))
    tried = refine_multiview(
        model.decoder,
        starts,
        evidence[repeated],
        priors[repeated],
        config,
        _ITERATIONS_OF_ALL,
        views,
        cameras,
    )
    best = int(total_cost(tried.cost, views).argmin())
    solution = refine_multiview(
        model.decoder,
        tried.state[best * views : (best + 1) * views],
        evidence,
        priors,
        config,
        _ITERATIONS - _ITERATIONS_OF_ALL,
        views,
        cameras,
    )
    if _same_shape(model, first, solution.state):
        solution = replace(solution, state=solution.state.with_shape_of(first))
    newest = RefinedHypothesis(
        _at_common_pose(solution, cameras)[views - 1 :].to(torch.device("cpu")),
        float(model.log_density(solution.state.similarity.rotation, encoding)[-1]),
        shape_known=True,
    )
    return Keyframes(keyframes.instances, solution.state), newest


def _known_cameras(keyframes: Keyframes) -> KnownCameras | None:
    """The cameras of the keyframes; None if fewer than two are known."""
    count = len(keyframes.instances)
    rotation, translation = np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    precision = np.zeros((count, 6))
    places = keyframes.state.similarity.translation.cpu().numpy()
    for i, instance in enumerate(keyframes.instances):
        camera = instance.camera_pose
        if camera is None:
            continue
        rotation[i], translation[i] = camera.rotation, camera.translation
        variance = np.diag(camera.covariance_at(places[i]))
        precision[i, :3] = 1.0 / max(variance[3:].mean(), _LEAST_ROTATION_SD**2)
        precision[i, 3:] = 1.0 / max(variance[:3].mean(), _LEAST_PLACE_SD_M**2)
    if np.count_nonzero(precision[:, 0]) < _MIN_CAMERAS:
        return None
    known = KnownCameras(*(torch.from_numpy(x).float() for x in (rotation, translation, precision)))
    return known.to(keyframes.state.codes.device)


def _at_common_pose(solution: Solution, cameras: KnownCameras | None) -> Solution:
    """The solution with the poses of the views with a known camera at the common pose."""
    if cameras is None:
        return solution
    poses = solution.state.similarity
    common = cameras.in_views(cameras.common_pose(poses))
    moved = ShapePose(common, solution.state.codes)
    return replace(solution, state=moved.where(cameras.precision[:, 0] > 0.0, solution.state))


def _same_shape(model: CategoryModel, before: ShapePose, after: ShapePose) -> bool:
    """Whether size and code have changed too little to be worth a new surface."""
    change = after.codes[0] - before.codes[0]
    distance = float(change @ model.priors.code_precision @ change) ** 0.5
    growth = float((after.similarity.scale[0] / before.similarity.scale[0]).log().abs())
    return distance < _SAME_CODE_SD and growth < _SAME_SIZE

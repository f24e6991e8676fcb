"""Multi-view refinement: one size and shape that explain all keyframes of an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.evidence import EvidenceSampler
from sdfpose_core.estimation.hypotheses import NetworkPriorConfig
from sdfpose_core.estimation.keyframes import Keyframes, decoder_states
from sdfpose_core.estimation.report import RefinedHypothesis
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.refine.solver import RefineConfig, refine_multiview, total_cost
from sdfpose_core.refine.state import ShapePose

__all__ = ["refine_keyframes"]

_ITERATIONS, _ITERATIONS_OF_ALL = 8, 2
"""Iterations of the solver. After the first few, only the best start goes on."""

_POINTS = 128
"""Observed points per keyframe: there are several keyframes."""

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
        All keyframes, and the hypothesis in the new one.
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
    repeated = torch.arange(views, device=device).repeat(len(estimates))
    tried = refine_multiview(
        model.decoder,
        starts,
        evidence[repeated],
        priors[repeated],
        config,
        _ITERATIONS_OF_ALL,
        views,
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
    )
    if _same_shape(model, first, solution.state):
        solution = replace(solution, state=solution.state.with_shape_of(first))
    newest = RefinedHypothesis(
        solution[views - 1 :].to(torch.device("cpu")),
        float(model.log_density(solution.state.similarity.rotation, encoding)[-1]),
        shape_known=True,
    )
    return Keyframes(keyframes.instances, solution.state), newest


def _same_shape(model: CategoryModel, before: ShapePose, after: ShapePose) -> bool:
    """Whether size and code have changed too little to be worth a new surface."""
    change = after.codes[0] - before.codes[0]
    distance = float(change @ model.priors.code_precision @ change) ** 0.5
    growth = float((after.similarity.scale[0] / before.similarity.scale[0]).log().abs())
    return distance < _SAME_CODE_SD and growth < _SAME_SIZE

"""The modes of an instance: their probabilities, and the rivals of the chosen one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from sdfpose_core.estimation.colour_evidence import ColourEvidence
from sdfpose_core.estimation.confidence import CUES
from sdfpose_core.estimation.config import EstimatorConfig
from sdfpose_core.estimation.detection import Detection
from sdfpose_core.estimation.labels import label_log_prior
from sdfpose_core.estimation.mode_ranking import ModeRanking, mode_features
from sdfpose_core.estimation.resting import UprightRule, upright_log_density
from sdfpose_core.observation.frame import Alternative
from sdfpose_core.refine.anchors import surface_anchors

__all__ = [
    "alternatives_of",
    "as_alternative",
    "by_probability",
    "comparable",
    "mode_cues",
    "ranking_features",
]

_LEAST_PROBABILITY = 0.02
"""Less likely modes are not reported."""

_BOX_SAMPLES = 512
"""Points on a rival's surface that give its box."""


def by_probability(
    detections: Iterable[Detection],
    ranking: ModeRanking,
    config: EstimatorConfig,
    colour: ColourEvidence | None = None,
) -> dict[int, list[Detection]]:
    """The modes of each mask id with their probabilities, the likeliest first.

    Args:
        detections: refined hypotheses of any instances.
        ranking: of the modes.
        config: how the direction up and the labels of detectors count.
        colour: of the instances; None ignores it.
    """
    modes: dict[int, list[Detection]] = {}
    for x in detections:
        modes.setdefault(x.instance.mask_id, []).append(x)
    features = ranking_features(list(modes.values()), config, colour)
    known = {
        x.instance.category: colour is None or colour.knows(x.instance.category)
        for some in modes.values()
        for x in some
    }
    return {
        mask_id: _ranked(features_of_each, some, known, ranking, config)
        for features_of_each, (mask_id, some) in zip(features, modes.items(), strict=True)
    }


def _ranked(
    features: Sequence[Mapping[str, float]],
    modes: Sequence[Detection],
    known: Mapping[str, bool],
    ranking: ModeRanking,
    config: EstimatorConfig,
) -> list[Detection]:
    """The modes of one mask id, the likeliest first."""
    compared = comparable(features, [x.instance.category for x in modes], known)
    probabilities = ranking.probabilities(compared, label_log_prior(modes, config.category_trust))
    order = np.argsort(-probabilities, kind="stable")
    found = []
    for i in order:
        probability = float(probabilities[i])
        cues = mode_cues(features[i], probability)
        found.append(replace(modes[i], probability=probability, cues=cues))
    return found


def comparable(
    features: Sequence[Mapping[str, float]], categories: Sequence[str], known: Mapping[str, bool]
) -> list[Mapping[str, float]]:
    """The features of an instance's modes, fair to categories that colour does not know.

    Colour has no evidence for or against such a category. What it says of the others then only
    orders them and their poses: the likeliest one, in its likeliest pose, gets zero, like those
    that colour does not know.

    Args:
        features: of each mode, see `mode_features`.
        categories: of each mode.
        known: by category, whether the colour network knows it.
    """
    ours = [x for x in categories if known[x]]
    if len(ours) in (0, len(categories)):
        return list(features)
    rows = list(zip(features, categories, strict=True))
    category = max(x["colour_category"] for x, name in rows if known[name])
    pose = {n: max(x["colour_pose"] for x, name in rows if name == n) for n in dict.fromkeys(ours)}
    return [
        {
            **x,
            "colour_category": x["colour_category"] - category,
            "colour_pose": x["colour_pose"] - pose[name],
        }
        if known[name]
        else x
        for x, name in rows
    ]


def mode_cues(features: Mapping[str, float], probability: float) -> dict[str, float]:
    """The `CUES` of a mode.

    Args:
        features: of the ranking, see `mode_features`.
        probability: of the mode.
    """
    return {name: {**features, "mode_probability": probability}[name] for name in CUES}


def ranking_features(
    modes: Sequence[Sequence[Detection]], config: EstimatorConfig, colour: ColourEvidence | None
) -> list[list[dict[str, float]]]:
    """The parts of the log likelihood of each mode of some instances.

    Args:
        modes: of each instance, whose modes may differ in category.
        config: how the direction up counts.
        colour: of the instances; None ignores it.
    """
    return [
        [
            mode_features(
                x.hypothesis.solution,
                x.model.cpu_priors,
                config.solver,
                belief=x.hypothesis.belief,
                upright=_upright(x, config.upright),
                colour_pose=pose,
                colour_category=category,
            )
            for x, pose, category in zip(some, *_colour(some, colour), strict=True)
        ]
        for some in modes
    ]


def _colour(
    modes: Sequence[Detection], colour: ColourEvidence | None
) -> tuple[list[float], list[float]]:
    """Log densities of the rotations of an instance's modes, and those of their categories."""
    if colour is None:
        return [0.0] * len(modes), [0.0] * len(modes)
    mask_id = modes[0].instance.mask_id
    names = [x.instance.category for x in modes]
    tried = list(dict.fromkeys(names))
    category = dict(zip(tried, colour.category_log_probabilities(mask_id, tried), strict=True))
    pose = np.zeros(len(modes))
    for name in tried:
        which = [k for k, x in enumerate(names) if x == name]
        states = [modes[k].hypothesis.solution.state.similarity for k in which]
        pose[which] = colour.log_scores(
            [mask_id],
            [name],
            torch.cat([x.rotation for x in states]).unsqueeze(0),
            torch.cat([x.translation for x in states]).unsqueeze(0),
        )[0].tolist()
    return pose.tolist(), [category[x] for x in names]


def _upright(mode: Detection, rule: UprightRule) -> float:
    """Log density of the y axis of a mode, given which way is up."""
    up = mode.instance.up
    if up is None:
        return 0.0
    y_axis = mode.hypothesis.solution.state.similarity.rotation[0, :, 1].numpy()
    return upright_log_density(float(up @ y_axis), mode.model.category.resting, rule)


def alternatives_of(modes: Sequence[Detection]) -> tuple[float, tuple[Alternative, ...]]:
    """The probability of the chosen mode, the first one, and its rivals.

    Rivals that are not worth a report are left out; the probabilities of the others sum to one.
    """
    if len(modes) == 1:
        return modes[0].probability, ()
    reported = [modes[0], *(x for x in modes[1:] if x.probability >= _LEAST_PROBABILITY)]
    total = math.fsum(x.probability for x in reported)
    return reported[0].probability / total, tuple(as_alternative(x, total) for x in reported[1:])


@torch.no_grad()
def as_alternative(mode: Detection, total: float = 1.0) -> Alternative:
    """A mode as a rival. Its box is that of points on its surface, smaller by about a per cent.

    Args:
        mode: the mode.
        total: of the probabilities of the reported modes, which is to become 1.
    """
    state = mode.hypothesis.solution.state
    codes = state.codes.to(mode.model.device)
    points = surface_anchors(mode.model.decoder, codes, _BOX_SAMPLES)[0].cpu().numpy()
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    scale = float(state.similarity.scale[0])
    rotation = state.similarity.rotation[0].double().numpy()
    origin = state.similarity.translation[0].double().numpy()
    sides = scale * (high - low)
    return Alternative(
        category=mode.instance.category,
        rotation=rotation,
        translation=origin + scale * rotation @ (0.5 * (low + high)),
        scale=float(np.linalg.norm(sides)),
        dimensions_m=sides,
        probability=mode.probability / total,
        symmetric_about_y=mode.model.category.symmetry == "y",
    )

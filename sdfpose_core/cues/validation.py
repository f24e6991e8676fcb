"""Accuracy of the colour network on held-out views, and calibration of its probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sdfpose_core.cues.network import ColourCues
from sdfpose_core.cues.training import HALF_TURNS, view_tensors
from sdfpose_core.cues.views import NO_CATEGORY, CueViews

__all__ = ["calibrate_colour", "validate_colour"]

_BATCH = 256
"""Views per step."""


@dataclass(frozen=True)
class _Outputs:
    """Outputs for held-out views.

    Attributes:
        logits: (V, C) of the category.
        flips: (V, 4) scores of the true rotation and its half turns about x, y and z.
        known: (V,) logits that the object is of any category.
        category: (V,) true category, or `NO_CATEGORY`.
    """

    logits: Tensor
    flips: Tensor
    known: Tensor
    category: Tensor


@torch.no_grad()
def _outputs(network: ColourCues, views: CueViews) -> _Outputs:
    parts = []
    for first in range(0, len(views), _BATCH):
        index = np.arange(first, min(first + _BATCH, len(views)))
        colour, depth, rotation, category = view_tensors(views, index, network.device)
        features = network(colour, depth)
        turns = torch.cat([torch.eye(3)[None], HALF_TURNS]).to(rotation)
        flips = network.scores(features, category.clamp(min=0), rotation[:, None] @ turns)
        known = network.known_head(features)[:, 0]
        parts.append((network.category_head(features), flips, known, category))
    return _Outputs(*(torch.cat(x) for x in zip(*parts, strict=True)))


def calibrate_colour(network: ColourCues, views: CueViews) -> None:
    """Set the temperatures with which held-out views are most likely.

    Args:
        network: a trained network, changed in place.
        views: views of models that it was not trained on.
    """
    out = _outputs(network, views)
    any_of_ours = out.category != NO_CATEGORY
    network.category_temperature.fill_(
        _temperature(out.logits[any_of_ours], out.category[any_of_ours])
    )
    pair = torch.stack([torch.zeros_like(out.known), out.known], dim=1)
    network.known_temperature.fill_(_temperature(pair, any_of_ours.long()))
    for number in range(len(network.config.categories)):
        chosen = out.category == number
        if not chosen.any():
            continue
        flips = out.flips[chosen]
        if network.yaw_counts[number] == 0.0:
            flips = flips[:, :2]
        target = torch.zeros(len(flips), dtype=torch.int64, device=flips.device)
        network.rotation_temperature[number] = _temperature(flips, target)


def _temperature(scores: Tensor, target: Tensor) -> float:
    """Divisor of scores (V, K) with the smallest cross entropy, 0.25 to 8."""
    candidates = torch.linspace(math.log(0.25), math.log(8.0), 141).exp()
    losses = [float(nn.functional.cross_entropy(scores / t, target)) for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def validate_colour(network: ColourCues, views: CueViews) -> dict[str, dict[str, float]]:
    """Measure the accuracy on views of models that the network was not trained on.

    Returns:
        By category: shares of views in which the category is right (``category_accuracy``) and the
        truth scores higher than its half turn about x (``end_up_accuracy``) and about y
        (``front_accuracy``, if yaw counts); and the mean log probability of the true one of each
        pair (``end_up_nats``, ``front_nats``). Also the share that is taken for an object of some
        category (``known_share``), which is the only figure of things of no category (``none``).
    """
    out = _outputs(network, views)
    found: dict[str, dict[str, float]] = {}
    if (none := out.category == NO_CATEGORY).any():
        found["none"] = {"known_share": float((out.known[none] > 0.0).float().mean())}
    for number, name in enumerate(network.config.categories):
        chosen = out.category == number
        if not chosen.any():
            continue
        right = out.logits[chosen].argmax(dim=1) == number
        figures = {
            "category_accuracy": float(right.float().mean()),
            "known_share": float((out.known[chosen] > 0.0).float().mean()),
        }
        scores = out.flips[chosen] / network.rotation_temperature[number]
        rivals = {"end_up": 1, "front": 2} if network.yaw_counts[number] > 0.0 else {"end_up": 1}
        for key, rival in rivals.items():
            margin = scores[:, 0] - scores[:, rival]
            figures[f"{key}_accuracy"] = float((margin > 0.0).float().mean())
            figures[f"{key}_nats"] = float(nn.functional.logsigmoid(margin).mean())
        found[name] = figures
    return found

"""Accuracy of the recognition network on views that it was not trained on."""

from __future__ import annotations

import numpy as np
import torch

from sdfpose_core.evaluation import ranking_auroc
from sdfpose_core.recognition.network import RecognitionNetwork
from sdfpose_core.recognition.views import NO_CATEGORY
from sdfpose_core.storage.record_files import Records

__all__ = ["validate_recognition"]

_BATCH = 256


@torch.no_grad()
def validate_recognition(network: RecognitionNetwork, views: Records) -> dict[str, float]:
    """Measure how well objects of the categories and other things are told apart.

    Returns:
        Where there are things of no category, ``none_taken``: share of them that are rather taken
        for an object of a category. Where there are objects of categories, ``ours_lost``: share of
        them that are not; ``category_accuracy``: share of them that are given the right category.
        Where there are both, ``auroc``: of being known.
    """
    parts = []
    for i in range(0, len(views), _BATCH):
        some = views[np.arange(i, min(i + _BATCH, len(views)))]
        crops = torch.from_numpy(some["crop"].astype(np.float32))
        parts.append([x.cpu() for x in network(crops.to(network.device))])
    logit = torch.cat([x for x, _ in parts]).numpy()
    category = torch.cat([x for _, x in parts]).argmax(dim=1).numpy()
    true = views.field("category")
    known = true != NO_CATEGORY
    figures: dict[str, float] = {}
    if not known.all():
        figures["none_taken"] = float(np.mean(logit[~known] > 0.0))
    if known.any():
        figures["ours_lost"] = float(np.mean(logit[known] <= 0.0))
        figures["category_accuracy"] = float(np.mean(category[known] == true[known]))
    if len(set(known.tolist())) == 2:
        figures["auroc"] = ranking_auroc(logit, known)
    return figures

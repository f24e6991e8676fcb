"""The shipped colour network on images that are not as they should be: it does no harm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.estimation.detection import Detection
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.evaluation import rotation_error_deg
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.simulation.instances import ModelPool, simulated_instances
from sdfpose_core.simulation.scenes import SceneStyle

MODELS = range(HELD_OUT_SEED + 20_000, HELD_OUT_SEED + 20_004)
STYLE = SceneStyle(hard=1.0)
"""Only views in which depth leaves the mode open."""

VIEWS = 4
"""Of each category."""


def grey(image):
    return image.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)


def overexposed(image):
    return np.clip(4.0 * image + 100.0, 0.0, 255.0).astype(np.uint8)


DISTORTED = {
    "grey": grey,
    "of 16 bits with 4 in use": lambda x: (x >> 4) << 4,
    "saturated": overexposed,
    "white": lambda x: np.full_like(x, 255),
    "black": np.zeros_like,
    "dark": lambda x: x // 12,
    "shifted": lambda x: np.roll(x, (5, 5), axis=(0, 1)),
    "red and blue swapped": lambda x: x[..., ::-1],
}


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator(EstimatorConfig(device="cpu"))


@pytest.fixture(scope="module")
def views(estimator: PoseEstimator) -> list[list[tuple[Detection, bool]]]:
    """The modes of simulated objects that have right and wrong ones, and which are right."""
    return list(open_views(estimator))


def open_views(estimator: PoseEstimator) -> Iterator[list[tuple[Detection, bool]]]:
    for category in ("bottle", "can", "camera"):
        pool = ModelPool.for_category(category, MODELS, distractors=1)
        for x in simulated_instances(
            category, 5, VIEWS, pool=pool, style=STYLE, colour=True, appearance="printed"
        ):
            groups, _ = estimator.by_category([x.instance])
            modes = estimator.refine(estimator.search(estimator.encode(groups)))
            off = [
                rotation_error_deg(
                    mode.hypothesis.solution.state.similarity.rotation[0].double().numpy(),
                    x.truth.rotation,
                    x.truth.symmetric_about_y,
                )
                for mode in modes
            ]
            right = [bool(y < 20.0) for y in off]
            if any(right) and not all(right):
                yield list(zip(modes, right, strict=True))


def score(
    estimator: PoseEstimator, views: Sequence[list[tuple[Detection, bool]]], change
) -> tuple[int, float]:
    """How many chosen modes are right, and the mean log probability of the right ones."""
    chosen, logs = 0, []
    for view in views:
        right = {id(x.hypothesis) for x, ok in view if ok}
        modes = [
            replace(x, instance=replace(x.instance, colour=change(x.instance.colour)))
            for x, _ in view
        ]
        _, colour = estimator.look([modes[0].instance])
        ((first, *rest),) = estimator.rank(modes, colour).values()
        chosen += id(first.hypothesis) in right
        likely = sum(x.probability for x in (first, *rest) if id(x.hypothesis) in right)
        logs.append(np.log(max(likely, 1e-6)))
    return chosen, float(np.mean(logs))


def test_there_are_views_to_decide(views: Sequence[list[tuple[Detection, bool]]]) -> None:
    assert len(views) >= 8


@pytest.mark.parametrize("what", DISTORTED)
def test_bad_colour_is_no_worse_than_none(
    estimator: PoseEstimator, views: Sequence[list[tuple[Detection, bool]]], what: str
) -> None:
    right, log = score(estimator, views, DISTORTED[what])
    right_without, log_without = score(estimator, views, lambda _: None)
    assert right >= right_without - 1
    assert log >= log_without - 0.1

"""The screen of many categories: sizes by properties, the coarse round on simulated objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sdfpose_core.benchmark.decoys import copied_from, write_decoys
from sdfpose_core.benchmark.poses import synthetic_cases
from sdfpose_core.categories import Category, default_categories
from sdfpose_core.estimation.category_screen import (
    CANDIDATES,
    fits_size,
    fitting,
    likeliest,
    seen_extent_m,
)
from sdfpose_core.estimation.detection import Proposal
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.geometry.similarity import so3_exp
from sdfpose_core.observation.frame import Instance, SkippedInstance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.packs.collection import Packs

CONFIG = EstimatorConfig(device="cpu", mesh_resolution=32)

category_of = st.sampled_from(list(default_categories().values()))
rotation_of = st.tuples(*[st.floats(-3.0, 3.0)] * 3).map(
    lambda w: so3_exp(torch.tensor(w, dtype=torch.float64, device="cpu")).numpy()
)
sides_of = st.tuples(*[st.floats(0.2, 1.0)] * 3).map(np.array)


def instance(
    points: NDArray[np.floating], category: str = "mug", *, hidden: float = 0.0, mask_id: int = 1
) -> Instance:
    pixels = np.zeros((len(points), 2), np.int32)
    free = replace(FreeSpace.unknown(), hidden=hidden)
    return Instance(mask_id, category, 1.0, points.astype(np.float32), pixels, free, len(points))


def visible_box(sides: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on the faces of a box that a camera on the z axis, far away, sees."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (600, 3))
    axis = rng.integers(3, size=len(points))
    rows = np.arange(len(points))
    points[rows, axis] = np.where(points[rows, axis] < 0.0, -0.5, 0.5)
    normal = np.zeros_like(points)
    normal[rows, axis] = np.sign(points[rows, axis])
    return ((points * sides) @ rotation.T)[(normal @ rotation.T)[:, 2] < 0.0] + [0.1, 0.0, 0.8]


def possible_diagonal(category: Category, place: float) -> float:
    """A diagonal within three standard deviations of the log size; `place` is from -1 to 1."""
    return category.diagonal_m * math.exp(3.0 * place * category.diagonal_log_sd)


@given(category_of, st.floats(-1.0, 1.0), sides_of, rotation_of, st.booleans())
def test_a_category_whose_size_fits_is_never_left_out(
    category: Category,
    place: float,
    sides: NDArray[np.float64],
    rotation: NDArray[np.float64],
    whole: bool,
) -> None:
    sides = sides * (possible_diagonal(category, place) / np.linalg.norm(sides))
    seen = visible_box(sides, rotation)
    assert fits_size(instance(seen, hidden=0.0 if whole else 0.5), category)


@given(category_of, st.floats(-1.0, 1.0), sides_of, rotation_of, st.floats(0.02, 1.0))
def test_a_category_whose_size_fits_is_not_left_out_where_little_is_seen(
    category: Category,
    place: float,
    sides: NDArray[np.float64],
    rotation: NDArray[np.float64],
    part: float,
) -> None:
    sides = sides * (possible_diagonal(category, place) / np.linalg.norm(sides))
    seen = visible_box(sides, rotation)
    seen = seen[: max(50, round(part * len(seen)))]
    seen = seen[np.argsort(seen[:, 0])][: max(50, round(part * len(seen)))]
    assert fits_size(instance(seen, hidden=0.3), category)


@given(category_of, sides_of, rotation_of)
def test_sizes_that_do_not_fit(
    category: Category, sides: NDArray[np.float64], rotation: NDArray[np.float64]
) -> None:
    unit = visible_box(sides / np.linalg.norm(sides), rotation)
    extent = seen_extent_m(unit.astype(np.float32))
    large = unit * (1.01 * possible_diagonal(category, 1.0) / extent)
    small = unit * (0.24 * possible_diagonal(category, -1.0) / extent)
    for hidden in (0.0, 1.0):
        assert not fits_size(instance(large, hidden=hidden), category)
    assert not fits_size(instance(small), category)
    assert fits_size(instance(small, hidden=0.2), category)


@given(rotation_of, st.floats(0.01, 1.0))
def test_the_extent_of_a_rod_is_nearly_its_length(
    rotation: NDArray[np.float64], length: float
) -> None:
    rod = np.linspace(-0.5, 0.5, 3000)[:, None] * (length * rotation[:, 0])
    extent = seen_extent_m(rod.astype(np.float32))
    assert 0.9 * math.cos(math.radians(28.0)) * length < extent <= length
    rod[:60] += 5.0  # a leaking mask
    assert seen_extent_m(rod.astype(np.float32)) <= length


THREE = {name: default_categories()[name] for name in ("can", "mug", "laptop")}


def test_only_masks_of_many_categories_are_compared_by_size() -> None:
    speck = np.random.default_rng(0).uniform(0.0, 0.05, (200, 3))
    both = [instance(speck, name, mask_id=i) for i in (1, 2) for name in THREE]
    few = both[:-1]
    assert fitting(few, THREE, 3) == few
    assert [(x.mask_id, x.category) for x in fitting(few, THREE, 2)] == [
        (1, "can"), (1, "mug"), (2, "can"), (2, "mug")
    ]  # fmt: skip


def test_a_mask_that_no_category_fits_keeps_all() -> None:
    wall = np.random.default_rng(0).uniform(0.0, 5.0, (200, 3))
    instances = [instance(wall, name) for name in THREE]
    assert fitting(instances, THREE, 2) == instances


class Unscreened(PoseEstimator):
    """Searches all categories in full."""

    def propose(
        self, instances: Sequence[Instance]
    ) -> tuple[list[Proposal], list[SkippedInstance]]:
        groups, skipped = self.by_category(instances)
        return self.encode(groups), skipped


@pytest.fixture(scope="module")
def mug() -> list[Instance]:
    """A mug, as measured for its category."""
    (case,) = synthetic_cases("mug", 1, 3)
    return list(case.instances)


def as_any(known: Sequence[Instance], names: Mapping[str, object]) -> list[Instance]:
    return [replace(x, category=name, unknown=True) for x in known for name in names]


def test_with_six_categories_nothing_changes(mug: list[Instance]) -> None:
    found, expected = (
        estimator.estimate(as_any(mug, estimator.categories))
        for estimator in (PoseEstimator(CONFIG), Unscreened(CONFIG))
    )
    (one,), (other,) = found.estimates, expected.estimates
    for name in ("rotation", "translation", "covariance", "code", "vertices"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.category, one.confidence) == (other.category, other.confidence)
    modes, others = (
        [(y.instance.category, y.probability) for y in x.modes[mug[0].mask_id]]
        for x in (found, expected)
    )
    assert modes == others
    assert len({category for category, _ in modes}) == CANDIDATES


@pytest.fixture(scope="module")
def eighteen(tmp_path_factory: pytest.TempPathFactory) -> PoseEstimator:
    """An estimator of the shipped categories and twelve decoys."""
    folder = tmp_path_factory.mktemp("decoys")
    write_decoys(folder, Packs.beside_shipped(), 12)
    return PoseEstimator(CONFIG, packs=[folder])


def test_of_many_categories_the_likeliest_are_searched(
    eighteen: PoseEstimator, mug: list[Instance]
) -> None:
    proposals, skipped = eighteen.propose(as_any(mug, eighteen.categories))
    assert not skipped
    assert len(proposals) == CANDIDATES
    assert "mug" in {copied_from(x.model.category.name) for x in proposals}
    (found,) = eighteen.estimate(as_any(mug, eighteen.categories)).estimates
    assert copied_from(found.category) == "mug"


def test_masks_are_screened_apart_and_keep_their_start_poses(
    eighteen: PoseEstimator, mug: list[Instance]
) -> None:
    """A second mask has a category, so no other category is tried, and it stays as it was."""
    labelled = [replace(x, mask_id=77) for x in mug]
    groups, _ = eighteen.by_category([*as_any(mug, eighteen.categories), *labelled])
    proposals = eighteen.encode(groups)
    few = likeliest(proposals, eighteen.sampler, eighteen.ranking, CONFIG, 1)
    kept = [(x.mask_id, x.category) for p in few for x in p.instances]
    assert (77, "mug") in kept
    assert len(kept) == 2
    for x in few:
        (full,) = (y for y in proposals if y.model is x.model)
        wanted = [full.instances.index(y) for y in x.instances]
        rows = torch.isin(full.hypotheses.owner, torch.tensor(wanted, device="cpu"))
        assert torch.equal(x.hypotheses.state.codes, full.hypotheses.state.codes[rows])
        assert x.hypotheses.owner.unique().tolist() == list(range(len(x.instances)))
        assert x.hypotheses.encoding is not None
        assert full.hypotheses.encoding is not None
        assert torch.equal(x.hypotheses.encoding.logits, full.hypotheses.encoding.logits[wanted])


def test_packs_without_encoders_are_screened_from_upright_poses(
    eighteen: PoseEstimator, mug: list[Instance]
) -> None:
    estimator = PoseEstimator(replace(CONFIG, encoder="none"), eighteen.packs)
    proposals, _ = estimator.propose(as_any(mug, estimator.categories))
    assert len(proposals) == CANDIDATES
    assert {len(x.hypotheses.owner) for x in proposals} == {48}

"""Training views of prepared images."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.instances import StoredInstance, read_instances, write_instances
from sdfpose_core.datasets.nocs_preparation import prepare_scene, prepared_files
from sdfpose_core.datasets.nocs_shapes import ModelSurfaces
from sdfpose_core.datasets.nocs_truth import NocsTruths
from sdfpose_core.encoder.colour_views import ColourViews, prefetched
from sdfpose_core.encoder.prepared_rounds import PreparedRounds
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, colour_view
from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.simulation.instances import simulated_instances

SMALL = Ssc6dConfig(points=64, image_size=24, width=8)
PROBLEM = "skipped instances: of 12, 1 have no true pose, 1 have an unknown model, 1 have no colour"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three scenes with 12 instances, of which three cannot be used."""
    items = [
        StoredInstance(f"image {i}", x.instance, x.truth)
        for i, x in enumerate(simulated_instances("mug", 0, 12, model_seeds=range(3), colour=True))
    ]
    truth = items[5].truth
    assert truth is not None
    items[3] = replace(items[3], truth=None)
    items[5] = replace(items[5], truth=replace(truth, instance="other"))
    items[7] = replace(items[7], instance=replace(items[7].instance, colour=None))
    folder = tmp_path_factory.mktemp("prepared")
    paths = [folder / f"scene_{i}" / "mug.npz" for i in range(3)]
    for i, path in enumerate(paths):
        write_instances(path, items[4 * i : 4 * i + 4])
    return paths


@pytest.fixture(scope="module")
def models() -> ModelSurfaces:
    """Points whose first coordinate is the number of the model."""
    names = tuple(sample_model("mug", x).name for x in range(3))
    points = np.tile(np.arange(3, dtype=np.float32)[:, None, None], (1, 40, 3))
    points[..., 1] = np.arange(40)
    return ModelSurfaces(names, points)


def opened(
    files: list[Path], models: ModelSurfaces, count: int = 5, problems: list[str] | None = None
) -> PreparedRounds:
    return PreparedRounds(files, models, count, SMALL, 16, 0, [] if problems is None else problems)


def test_what_cannot_be_used_is_named(files: list[Path], models: ModelSurfaces) -> None:
    problems: list[str] = []
    rounds = opened(files, models, problems=problems)
    assert rounds.instances == 9
    assert problems == [PROBLEM]


def test_a_view_is_that_of_its_instance(files: list[Path], models: ModelSurfaces) -> None:
    views = opened(files, models, 9)(0)
    stored = [x for path in files for x in read_instances(path)]
    for i in range(9):
        (item,) = (
            x
            for x in stored
            if x.truth is not None
            and np.allclose(x.truth.translation, views.translation[i], atol=1e-6)
        )
        assert item.truth is not None
        np.testing.assert_allclose(item.truth.rotation, views.rotation[i], atol=1e-6)
        assert item.truth.scale == pytest.approx(views.scale[i])
        assert models.names[views.model[i]] == item.truth.instance
        assert (views.model_points[i, :, 0] == views.model[i]).all()
        assert len(np.unique(views.model_points[i, :, 1])) > 5
        whole = colour_view(item.instance, 24, 64, np.random.default_rng(0))
        np.testing.assert_array_equal(whole.colour, views.colour[i])
        known = {
            tuple(p): k for p, k in zip(whole.points.tolist(), whole.index.tolist(), strict=True)
        }
        same = [
            known[tuple(p)] == k
            for p, k in zip(views.points[i].tolist(), views.index[i].tolist(), strict=True)
            if tuple(p) in known
        ]
        assert same
        assert all(same)


def test_every_pass_has_every_instance_once(files: list[Path], models: ModelSurfaces) -> None:
    rounds = opened(files, models, 6)
    seen = [tuple(x) for number in range(3) for x in rounds(number).translation.tolist()]
    assert set(Counter(seen[:9]).values()) == {1}
    assert set(seen[9:]) == set(seen[:9])
    assert seen[9:] != seen[:9]


def test_views_depend_on_their_place_only(files: list[Path], models: ModelSurfaces) -> None:
    """Not on the places that are asked for, the order of the rounds or the process."""
    rounds = opened(files, models)
    later, first = rounds(3), rounds(0)
    assert not np.array_equal(first.translation, later.translation)
    copied: PreparedRounds = pickle.loads(pickle.dumps(rounds))  # noqa: S301
    for other in (opened(files, models), copied):
        assert same(other(0, np.array([4, 1])), first[[4, 1]])
        assert same(other(3), later)


def test_workers_read_the_same_views(files: list[Path], models: ModelSurfaces) -> None:
    rounds = opened(files, models)
    stream = prefetched(rounds, 0, 2, 1, lambda number: np.array([number, 2]))
    for number, views in enumerate(stream):
        assert same(views, rounds(number)[[number, 2]])


def same(a: ColourViews, b: ColourViews) -> bool:
    return all(np.array_equal(x, getattr(b, name)) for name, x in vars(a).items())


@pytest.mark.parametrize(
    ("category", "synset"), [("bottle", "02876657"), ("bowl", "02880940"), ("mug", "03797390")]
)
def test_published_models_lie_on_the_points_of_published_images(
    nocs_sample: Path, category: str, synset: str, tmp_path: Path
) -> None:
    part, problems = "CAMERA/train", list[str]()
    truths = NocsTruths(nocs_sample, part, default_categories())
    prepare_scene(nocs_sample, part, "00000", tmp_path, truths)
    folder = nocs_sample / "obj_models" / "train" / synset
    models = ModelSurfaces.sample([folder], category, problems)
    files = prepared_files(tmp_path, part, category)
    views = PreparedRounds(files, models, 2, SMALL, 1024, 0, problems)(0)
    truth = Similarity(*map(torch.from_numpy, (views.rotation, views.translation, views.scale)))
    surface = truth.transform(torch.from_numpy(views.model_points))
    gap = torch.cdist(torch.from_numpy(views.points), surface).min(dim=-1).values
    assert (gap.median(dim=1).values < 0.03 * truth.scale).all()


def test_unreadable_files_are_left_out(
    files: list[Path], models: ModelSurfaces, tmp_path: Path
) -> None:
    damaged = tmp_path / "mug.npz"
    damaged.write_bytes(b"rubbish")
    problems: list[str] = []
    assert opened([damaged, *files], models, problems=problems).instances == 9
    assert "mug.npz: cannot be read as instances" in problems[0]
    with pytest.raises(FrameError, match="none of 0 instances can be used"):
        opened([damaged], models)


def test_data_without_colour_are_refused(
    files: list[Path], models: ModelSurfaces, tmp_path: Path
) -> None:
    items = [
        replace(x, instance=replace(x.instance, colour=None)) for x in read_instances(files[0])
    ]
    write_instances(tmp_path / "scene" / "mug.npz", items)
    with pytest.raises(FrameError, match=r"3 have no colour.*: expected instances of known models"):
        opened([tmp_path / "scene" / "mug.npz"], models)


def test_files_of_a_category_are_found_by_its_name_as_it_is(tmp_path: Path) -> None:
    for name in ("mug[12]", "mug1", "mug*"):
        (tmp_path / "part" / "scene" / f"{name}.npz").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "part" / "scene" / f"{name}.npz").touch()
    for name in ("mug[12]", "mug*"):
        assert [x.stem for x in prepared_files(tmp_path, "part", name)] == [name]

"""The estimator with packs beside the shipped ones, on a simulated frame."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from own_pack import own_pack

from sdfpose_core.errors import PackError
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.packs.pack import Kind, Pack
from sdfpose_core.simulation import orbit, simulated_frame, table_scene
from sdfpose_core.simulation.tabletop import TABLE_CAMERA

CONFIG = EstimatorConfig(device="cpu", mesh_resolution=32)


@pytest.fixture(scope="module")
def mug() -> RgbdFrame:
    """A frame with the mask of a mug alone."""
    frame, _ = simulated_frame(
        table_scene(3), TABLE_CAMERA.resize(320, 240), orbit(0.0), np.random.default_rng(0)
    )
    (mask_id,) = (i for i, x in frame.labels.items() if x.category == "mug")
    mask = np.where(frame.mask == mask_id, frame.mask, 0)
    return replace(frame, mask=mask, labels={mask_id: InstanceLabel("mug")})


def labelled(frame: RgbdFrame, name: str) -> RgbdFrame:
    return replace(frame, labels=dict.fromkeys(frame.labels, InstanceLabel(name)))


@pytest.fixture(scope="module")
def kettle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of mugs under another name, with a label of its own."""
    return own_pack(tmp_path_factory.mktemp("packs"), labels=("kettle", "teapot"))


def test_a_category_of_a_pack_is_estimated_like_a_shipped_one(mug: RgbdFrame, kettle: Path) -> None:
    estimator = PoseEstimator(CONFIG, packs=[kettle])
    (expected,) = estimator(mug)
    (found,) = estimator(labelled(mug, "Teapot"))
    assert (expected.category, found.category) == ("mug", "kettle")
    assert np.linalg.norm(found.translation - expected.translation) < 0.01
    assert found.diagnostics["colour_known"] == 0.0
    assert found.diagnostics["shape_known"] == 0.0
    assert found.diagnostics["colour_pose"] == found.diagnostics["colour_category"] == 0.0


def test_the_confidence_of_a_category_has_its_shift(
    mug: RgbdFrame, kettle: Path, tmp_path: Path
) -> None:
    shifted = own_pack(tmp_path, confidence_shift=-8.0)
    found = []
    for pack in (kettle, shifted):
        estimator = PoseEstimator(CONFIG, packs=[pack])
        (estimate,) = estimator(labelled(mug, "kettle"))
        shift = estimator.categories["kettle"].confidence_shift
        assert estimate.confidence == pytest.approx(
            estimator.confidence.probability(
                estimate.diagnostics, estimate.probability, shift=shift
            )
        )
        found.append(estimate.confidence)
    assert found[1] < 0.8 * found[0]


def test_colour_and_shape_decide_nothing_about_a_category_that_they_do_not_know(
    mug: RgbdFrame, kettle: Path
) -> None:
    """Mugs under another name are as likely as mugs, whatever the networks say of mugs."""
    estimator = PoseEstimator(CONFIG, packs=[kettle])
    (found,) = estimator(labelled(mug, "any"))
    share = dict.fromkeys(estimator.categories, 0.0)
    share[found.category] += found.probability
    for x in found.alternatives:
        share[x.category] += x.probability
    assert share["mug"] + share["kettle"] > 0.5
    assert share["kettle"] == pytest.approx(share["mug"], rel=0.5)


def test_of_thirty_packs_only_those_that_labels_name_are_loaded(
    mug: RgbdFrame, tmp_path: Path
) -> None:
    for number in range(24):
        own_pack(tmp_path, f"thing{number}", encoder=False)
    estimator = PoseEstimator(CONFIG, packs=[tmp_path])
    assert len(estimator.categories) == 30
    assert estimator.models.loaded == ()
    (found,) = estimator(labelled(mug, "thing7"))
    assert found.category == "thing7"
    assert estimator.models.loaded == ("thing7",)
    estimator(mug)
    assert estimator.models.loaded == ("thing7", "mug")
    copy = pickle.loads(pickle.dumps(estimator))  # noqa: S301  # our own
    assert copy.models.loaded == ("thing7", "mug")
    assert list(copy.categories) == list(estimator.categories)


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Weights files that are read, as ``CATEGORY/KIND``."""
    found: list[str] = []
    verified = Pack.verified

    def noted(pack: Pack, kind: Kind) -> Path:
        found.append(f"{pack.name}/{kind}")
        return verified(pack, kind)

    monkeypatch.setattr(Pack, "verified", noted)
    return found


def test_weights_are_read_once_and_only_of_categories_that_an_object_may_have(
    mug: RgbdFrame, tmp_path: Path, files_read: list[str]
) -> None:
    own_pack(tmp_path, "kettle")
    own_pack(tmp_path, "toy", diagonal_m=0.06, diagonal_log_sd=0.1)
    estimator = PoseEstimator(replace(CONFIG, colour="none"), packs=[tmp_path])
    assert files_read == []
    estimator(mug)
    assert files_read == ["mug/decoder", "mug/encoder"]
    estimator(labelled(mug, "any"))
    assert {"kettle/decoder", "kettle/encoder", "bottle/encoder"} < set(files_read)
    assert not any(x.startswith("toy") for x in files_read)
    assert len(files_read) == len(set(files_read))


def test_a_pack_without_an_encoder_is_searched_from_upright_poses(
    mug: RgbdFrame, tmp_path: Path
) -> None:
    own_pack(tmp_path, "mug", encoder=False, labels=("mug", "cup"))
    estimator = PoseEstimator(CONFIG, packs=[tmp_path])
    (found,) = estimator(mug)
    (expected,) = PoseEstimator(replace(CONFIG, encoder="none"))(mug)
    np.testing.assert_allclose(found.rotation, expected.rotation, atol=1e-5)
    np.testing.assert_allclose(found.translation, expected.translation, atol=1e-6)


def test_a_folder_that_is_no_pack_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no pack found"):
        PoseEstimator(CONFIG, packs=[tmp_path])

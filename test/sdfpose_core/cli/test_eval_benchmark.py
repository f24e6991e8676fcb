"""`sdfpose eval real275`, from the images and a detector's masks to the table."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nocs_benchmark_data import (
    EXACT,
    StubEstimator,
    StubTruths,
    estimate,
    write_detections,
    write_images,
)

from sdfpose_core.categories import default_categories
from sdfpose_core.cli import eval_benchmark
from sdfpose_core.cli.main import main
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES, read_nocs_image
from sdfpose_core.datasets.nocs_truth import NocsTruths
from sdfpose_core.estimation.estimator import FrameResult
from sdfpose_core.observation.frame import GroundTruth, Instance

MEASURES = ("iou25", "iou50", "iou75", "deg5_cm2", "deg5_cm5", "deg10_cm2", "deg10_cm5")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[StubEstimator]:
    """Data in ``data``, detections in ``mrcnn``, stubs, and a list of the estimators made."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "data")
    write_detections(tmp_path / "mrcnn")
    estimators: list[StubEstimator] = []

    def new(config: object, categories: object) -> StubEstimator:
        estimators.append(StubEstimator(EXACT))
        return estimators[-1]

    monkeypatch.setattr(eval_benchmark, "PoseEstimator", new)
    monkeypatch.setattr(eval_benchmark, "NocsTruths", lambda *arguments: StubTruths())
    return estimators


def real275(*arguments: object, data: object = "data", detections: object = "mrcnn") -> int:
    words = ["eval", "real275", data, "--detections", detections, *arguments]
    return main([str(x) for x in words])


def estimated(made: Sequence[StubEstimator]) -> int:
    """Number of images that the last run estimated."""
    return len(made[-1].calls)


def test_the_table_and_the_document(
    made: list[StubEstimator], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert real275("--results", "r", "--json", "r.json", "--report", "r.html") == 0
    out = capsys.readouterr()
    assert "laptop 2 25.0 25.0 25.0 100.0" in " ".join(out.out.split())
    assert "truth: gts (2)" in out.out
    assert "results of the images in r" in out.err
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["truth"] == "gts"
    assert found["detections"] == {
        "folder": str(tmp_path / "mrcnn"), "count": 3, "without_estimate": 0, "images_without": 1,
    }  # fmt: skip
    assert found["mean"]["iou50"] == 37.5
    assert (found["scores"], found["iou"], found["misses"]) == ("detector", "oriented", "ignore")
    assert found["settings"]["categories"] == list(NOCS_CATEGORIES)
    page = (tmp_path / "r.html").read_text()
    assert "REAL275 benchmark" in page
    assert "<td>37.5</td>" in page


def test_eval_nocs_judges_the_same(made: list[StubEstimator], tmp_path: Path) -> None:
    assert real275("--results", "r", "--json", "r.json", "--iou", "repaired") == 0
    assert main(["eval", "nocs", "r", "--iou", "repaired", "--json", "n.json"]) == 0
    ours, theirs = (json.loads((tmp_path / x).read_text()) for x in ("r.json", "n.json"))
    assert ours["per_category"] == theirs["per_category"]
    assert ours["mean"] == theirs["mean"]


def test_an_interrupted_run_resumes_and_other_settings_do_not(
    made: list[StubEstimator], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert real275("--results", "r", "--json", "a.json") == 0
    assert estimated(made) == 2
    (tmp_path / "r" / "results_test_scene_1_0001.pkl").unlink()
    assert real275("--results", "r", "--json", "b.json", "--misses", "ignore") == 0
    assert estimated(made) == 1
    first, second = (json.loads((tmp_path / x).read_text()) for x in ("a.json", "b.json"))
    assert {**first, "stage_ms": None} == {**second, "stage_ms": None}
    capsys.readouterr()
    assert real275("--results", "r", "--scores", "product") == 2
    assert 'other settings (scores "detector", now "product")' in capsys.readouterr().err


def test_true_poses_that_were_added_later_do_not_mix_with_earlier_results(
    made: list[StubEstimator], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = StubTruths("coordinate_maps", sources=("coordinate_maps",))
    monkeypatch.setattr(eval_benchmark, "NocsTruths", lambda *_: maps)
    assert real275("--results", "r") == 0
    monkeypatch.setattr(eval_benchmark, "NocsTruths", lambda *_: StubTruths())
    assert real275("--results", "r") == 2
    assert 'truth_sources ["coordinate_maps"], now ["gts"]' in capsys.readouterr().err


def test_every_set_of_settings_has_a_folder_of_its_own_by_default(
    made: list[StubEstimator], tmp_path: Path
) -> None:
    assert real275() == 0
    assert real275("--scores", "product") == 0
    assert real275() == 0
    assert estimated(made) == 0
    assert len(list((tmp_path / "out").glob("real275-*"))) == 2


def test_the_last_shard_judges_all(
    made: list[StubEstimator], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert real275("--results", "r", "--shard", "2/2", "--json", "r.json") == 0
    out = capsys.readouterr()
    assert "shard 2/2 is done; 1 of 2 images have no result yet" in out.err
    assert out.out == ""
    assert not (tmp_path / "r.json").exists()
    assert real275("--results", "r", "--shard", "1/2", "--json", "r.json") == 0
    assert [len(x.calls) for x in made] == [1, 1]
    assert json.loads((tmp_path / "r.json").read_text())["images"] == 2


def test_computed_poses_are_warned_of_everywhere(
    made: list[StubEstimator],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(eval_benchmark, "NocsTruths", lambda *_: StubTruths("coordinate_maps"))
    assert real275("--json", "r.json", "--report", "r.html") == 0
    out = capsys.readouterr()
    assert "2 of 2 images have no published poses" in out.err
    warning = "coordinate_maps (2); the figures are not those of the benchmark"
    assert warning in out.out
    assert warning in (tmp_path / "r.html").read_text()
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["truth"] == "coordinate_maps"
    assert "so the figures are not those of the benchmark" in found["problems"][0]


def test_detections_that_cannot_be_used_are_told_and_the_rest_goes_on(
    made: list[StubEstimator], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mrcnn" / "results_test_scene_1_0000.pkl").write_bytes(
        b"cos\nsystem\n(S'true'\ntR."
    )
    assert real275("--json", "r.json") == 0
    err = capsys.readouterr().err
    assert "results_test_scene_1_0000.pkl: cannot be loaded" in err
    assert "not plain data" in err
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["mean"]["n"] == 4
    assert found["detections"]["images_without"] == 2
    write_detections(tmp_path / "mrcnn")
    assert real275("--json", "r.json") == 0
    assert json.loads((tmp_path / "r.json").read_text())["detections"]["count"] == 3


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--category", "bowl", "kettle"], "kettle"),
        (
            ["--detections", "nowhere"],
            "--detections nowhere: No such file or directory: expected a",
        ),
        (["--shard", "3/2"], "expected i/n"),
        (["--results", "mrcnn"], "mrcnn: has pickles but no settings.json"),
        (["--json", "data"], "data: is a folder"),
    ],
)
def test_bad_arguments_are_named_before_the_work(
    made: list[StubEstimator],
    arguments: list[str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert real275(*arguments) == 2
    assert problem in capsys.readouterr().err
    assert all(not x.calls for x in made)


def test_the_folder_of_the_published_detections_is_the_default(
    made: list[StubEstimator], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "real275", "data"]) == 2
    assert "data/results/mrcnn_results/real_test: No such file" in capsys.readouterr().err
    (tmp_path / "data" / "results" / "mrcnn_results").mkdir(parents=True)
    (tmp_path / "mrcnn").rename(tmp_path / "data" / "results" / "mrcnn_results" / "real_test")
    assert main(["eval", "real275", "data"]) == 0


def test_images_of_another_part_are_missed(
    made: list[StubEstimator], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "camera25", "data", "--detections", "mrcnn"]) == 2
    assert "data/CAMERA/val: No such file or directory" in capsys.readouterr().err


class SampleEstimator(StubEstimator):
    """Estimates the objects of the sample's image from their true poses."""

    def __init__(self, truths: dict[str, GroundTruth]) -> None:
        super().__init__({})
        self.truths = truths

    def estimate(self, instances: Sequence[Instance]) -> FrameResult:
        found = []
        for x in instances:
            truth = self.truths[x.category]
            pose, t = truth.rotation, np.array(truth.translation)
            if x.category == "camera":  # turned by seven degrees
                c, s = np.cos(np.radians(7.0)), np.sin(np.radians(7.0))
                pose = pose @ np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
            elif x.category == "mug":  # off by a quarter of its height: an IoU of 3/5
                t += 0.25 * truth.dimensions_m[1] * pose[:, 1]
            elif x.category == "laptop" and x.score > 0.9:  # the false one
                t += 1.0
            box = estimate(x.mask_id, x.category, np.eye(4))
            found.append(
                replace(
                    box,
                    rotation=pose,
                    translation=t,
                    scale=truth.scale,
                    dimensions_m=truth.dimensions_m,
                )
            )
        return FrameResult(found, [], {})


def simulated_detections(sample: Path, folder: Path) -> None:
    """The masks of the sample's test image, without that of the can and with a false laptop."""
    frame = read_nocs_image(sample / "Real" / "test" / "scene_1" / "0000", "Real").frame
    ids = {x.category: i for i, x in frame.labels.items()}
    names = ("bowl", "camera", "mug", "laptop")
    masks = [*(frame.mask == ids[x] for x in names), np.zeros(frame.mask.shape, bool)]
    masks[-1][60:120, 60:140] = True
    content = {
        "rois": np.zeros((5, 4), np.int32),
        "class_ids": np.array([1 + NOCS_CATEGORIES.index(x) for x in (*names, "laptop")], np.int32),
        "scores": np.array([0.9, 0.8, 0.7, 0.6, 0.95], np.float32),
        "masks": np.stack(masks, axis=-1),
    }
    folder.mkdir()
    path = folder / "results_test_scene_1_0000.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))


def test_the_figures_of_the_sample_are_those_worked_out_by_hand(
    nocs_sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One object of each category, one missing, one false.

    Bowl: right. Camera: right but for seven degrees. Can: missing. Laptop: the false one has the
    higher score, so the precision is 1/2; poses are evaluated for the matched box alone. Mug: off
    by a quarter of its height, 2 to 5 cm.
    """
    stem = nocs_sample / "Real" / "test" / "scene_1" / "0000"
    categories = default_categories()
    image = read_nocs_image(stem, "Real", root=nocs_sample)
    truth = NocsTruths(nocs_sample, "Real/test", categories).of(image, stem)
    truths = {x.category: x.ground_truth(x.mask_id, categories) for x in truth.objects}
    assert 0.02 < 0.25 * truths["mug"].dimensions_m[1] < 0.05
    monkeypatch.setattr(eval_benchmark, "PoseEstimator", lambda *_: SampleEstimator(truths))
    simulated_detections(nocs_sample, tmp_path / "mrcnn")
    arguments = ["--results", tmp_path / "r", "--json", tmp_path / "r.json"]
    assert real275(*arguments, data=nocs_sample, detections=tmp_path / "mrcnn") == 0
    found = json.loads((tmp_path / "r.json").read_text())
    table = {
        "bowl": [100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0],
        "camera": [100.0, 100.0, 100.0, 0.0, 0.0, 100.0, 100.0],
        "can": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        "laptop": [50.0, 50.0, 50.0, 100.0, 100.0, 100.0, 100.0],
        "mug": [100.0, 100.0, 0.0, 0.0, 100.0, 0.0, 100.0],
    }
    assert {k: [v[x] for x in MEASURES] for k, v in found["per_category"].items()} == table
    assert [found["mean"][x] for x in MEASURES] == pytest.approx([70, 70, 50, 40, 60, 60, 80])
    assert found["truth"] == "gts"
    assert found["detections"]["count"] == 5
    counted = [*arguments, "--misses", "count"]
    assert real275(*counted, data=nocs_sample, detections=tmp_path / "mrcnn") == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["per_category"]["laptop"]["deg5_cm2"] == 50.0


def test_the_estimator_finds_the_objects_of_the_sample(nocs_sample: Path, tmp_path: Path) -> None:
    """From the published image and simulated detections to the published poses."""
    simulated_detections(nocs_sample, tmp_path / "mrcnn")
    arguments = ["--results", tmp_path / "r", "--json", tmp_path / "r.json", "--device", "cpu"]
    arguments += ["--category", "bowl", "mug", "laptop", "--report", tmp_path / "r.html"]
    assert real275(*arguments, data=nocs_sample, detections=tmp_path / "mrcnn") == 0
    found = json.loads((tmp_path / "r.json").read_text())
    rows = found["per_category"]
    assert [rows[x]["iou25"] for x in ("bowl", "laptop", "mug")] == [100.0, 50.0, 100.0]
    assert [rows[x]["deg10_cm5"] for x in ("bowl", "laptop", "mug")] == [100.0, 100.0, 100.0]
    assert found["errors"]["mug"]["trans_err_cm_median"] < 3.0
    assert "data:image/jpeg" in (tmp_path / "r.html").read_text()

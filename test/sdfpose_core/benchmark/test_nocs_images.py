"""Every detection in the images of the NOCS benchmark is estimated, and enters with a score."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from nocs_benchmark_data import (
    EXACT,
    SIDES,
    StubEstimator,
    StubTruths,
    detect,
    estimate,
    mask,
    pose,
    write_detections,
    write_images,
)

from sdfpose_core.benchmark.nocs_figures import (
    benchmark_figures,
    image_evaluation,
    truth_warning,
    worst_images,
)
from sdfpose_core.benchmark.nocs_images import (
    ImageRecord,
    NocsBenchmark,
    NocsResults,
    benchmark_pose,
    run_images,
)
from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.nocs_results import read_nocs_results
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.evaluation.nocs_results import figures
from sdfpose_core.storage.pickles import load_pickle


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_images(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def detections(tmp_path: Path) -> Path:
    write_detections(tmp_path / "mrcnn")
    return tmp_path / "mrcnn"


def benchmark(data: Path, detections: Path | None, **more: object) -> NocsBenchmark:
    made = NocsBenchmark(
        data, "Real/test", detections, StubTruths(), StubEstimator(EXACT), default_categories()
    )
    return replace(made, **more)


def evaluated(made: NocsBenchmark) -> list[ImageRecord]:
    return [made.evaluate(x) for x in made.images()]


def test_every_detection_is_estimated_on_its_whole_mask(data: Path, detections: Path) -> None:
    made = benchmark(data, detections)
    first, second = evaluated(made)
    assert [[(x.mask_id, x.category) for x in y] for y in made.estimator.calls] == [
        [(1, "laptop"), (2, "laptop"), (3, "bowl")], [],
    ]  # fmt: skip
    assert [x.mask_pixels for x in made.estimator.calls[0]] == [400, 1160, 400]
    assert first.result.scores.tolist() == [0.75, 0.875, 0.5]
    np.testing.assert_allclose(first.result.found_transforms, [EXACT[i] for i in (1, 2, 3)])
    np.testing.assert_allclose(first.result.found_sizes, [SIDES] * 3)
    assert first.result.class_ids.tolist() == second.result.class_ids.tolist() == [5, 2]
    assert len(second.result.scores) == 0
    assert first.problems == second.problems == []


def test_false_positives_and_missed_objects_count(data: Path, detections: Path) -> None:
    """By hand. Two laptops and two bowls; the second image has no detections.

    Laptop: the false one comes first, so the precision is 1/2 at the recall of 1/2: 25 %. Of the
    poses, only those of matched boxes count: 100 %. Bowl: 1 at the recall of 1/2: 50 %, and yaw has
    no meaning.
    """
    records = evaluated(benchmark(data, detections))
    found = benchmark_figures(records, iou="oriented", misses="ignore")
    assert found["per_category"] == {
        "bowl": {"n": 2, "iou25": 50.0, "iou50": 50.0, "iou75": 50.0,
                 "deg5_cm2": 100.0, "deg5_cm5": 100.0, "deg10_cm2": 100.0, "deg10_cm5": 100.0},
        "laptop": {"n": 2, "iou25": 25.0, "iou50": 25.0, "iou75": 25.0,
                   "deg5_cm2": 100.0, "deg5_cm5": 100.0, "deg10_cm2": 100.0, "deg10_cm5": 100.0},
    }  # fmt: skip
    assert found["mean"]["iou50"] == 37.5
    counted = benchmark_figures(records, iou="oriented", misses="count")
    assert counted["per_category"]["laptop"]["deg5_cm2"] == 25.0
    assert counted["per_category"]["bowl"]["deg5_cm2"] == 50.0
    assert (found["truth"], found["truth_images"], found["images"]) == ("gts", {"gts": 2}, 2)
    assert found["detections"] == {"count": 3, "without_estimate": 0, "images_without": 1}


def test_categories_whose_objects_are_all_missed_are_zero(data: Path, detections: Path) -> None:
    """As in the published evaluators, and not left out of the mean."""
    detect(detections, "0000", [("laptop", 0.75, mask() == 5)])
    found = benchmark_figures(
        evaluated(benchmark(data, detections)), iou="oriented", misses="ignore"
    )
    assert set(found["per_category"]["bowl"].values()) == {2, 0.0}
    assert found["mean"]["deg5_cm2"] == 50.0


def test_a_detection_without_an_estimate_enters_with_its_score(
    data: Path, detections: Path
) -> None:
    made = benchmark(data, detections, estimator=StubEstimator({1: EXACT[1], 3: EXACT[3]}))
    first, _ = evaluated(made)
    assert first.result.scores.tolist() == [0.75, 0.875, 0.5]
    np.testing.assert_array_equal(first.result.found_transforms[1], np.eye(4))
    assert not first.result.found_sizes[1].any()
    assert first.problems == [
        "Real/test/scene_1/0000: detection 2 (laptop) has no estimate: it has no surface; it "
        "counts as wrong"
    ]
    found = benchmark_figures([first], iou="repaired", misses="ignore")
    assert found["per_category"]["laptop"]["iou50"] == 50.0
    assert found["detections"]["without_estimate"] == 1


@pytest.mark.parametrize(
    ("scores", "expected"),
    [("confidence", [0.5, 0.0, 0.5]), ("product", [0.375, 0.0, 0.25])],
)
def test_scores_may_be_our_own(
    data: Path, detections: Path, scores: str, expected: list[float]
) -> None:
    estimator = StubEstimator({1: EXACT[1], 3: EXACT[3]})
    first, _ = evaluated(benchmark(data, detections, scores=scores, estimator=estimator))
    assert first.result.scores.tolist() == expected


def test_one_category_alone(data: Path, detections: Path) -> None:
    first, _ = evaluated(benchmark(data, detections, names=["bowl"]))
    assert first.result.class_ids.tolist() == first.result.found_class_ids.tolist() == [2]
    assert first.detections == [3]


def test_the_masks_of_the_data_are_detections_too(data: Path) -> None:
    made = benchmark(data, None, estimator=StubEstimator({5: pose(0.0), 9: pose(0.5)}))
    found = benchmark_figures(evaluated(made), iou="oriented", misses="count")
    assert found["mean"]["iou75"] == found["mean"]["deg5_cm2"] == 100.0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        (b"cos\nsystem\n(S'true'\ntR.", "not plain data"),
        ({"scores": np.ones(1)}, "3 class ids and 1 scores: expected"),
    ],
)
def test_unusable_detections_are_named_and_their_objects_missed(
    data: Path, detections: Path, content: object, problem: str
) -> None:
    path = detections / "results_test_scene_1_0000.pkl"
    if isinstance(content, dict):
        path.write_bytes(pickle.dumps(load_pickle(path) | content))
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.unlink()
    first, _ = evaluated(benchmark(data, detections))
    assert problem in first.problems[0]
    assert first.problems[0].startswith(str(path))
    assert first.problems[0].endswith("the image counts as one without detections")
    assert first.result.class_ids.tolist() == [5, 2]
    assert first.counts
    assert not first.is_complete


def test_images_without_truth_or_left_out_do_not_count(data: Path, detections: Path) -> None:
    skipped, _ = evaluated(benchmark(data, detections, truths=StubTruths(broken=True)))
    assert skipped.problems[0].endswith("no gts; image skipped")
    left_out, _ = evaluated(benchmark(data, detections, truths=StubTruths(published=False)))
    first, _ = evaluated(benchmark(data, detections))
    found = benchmark_figures([first, skipped, left_out], iou="oriented", misses="ignore")
    assert (found["images"], found["skipped_images"], found["left_out_images"]) == (1, 1, 1)
    assert found["mean"]["n"] == 2
    assert not skipped.is_complete
    assert left_out.is_complete


def test_computed_poses_are_warned_of(data: Path, detections: Path) -> None:
    own, _ = evaluated(benchmark(data, detections, truths=StubTruths("coordinate_maps")))
    first, second = evaluated(benchmark(data, detections))
    (warning,) = truth_warning([own, second])
    assert warning.startswith("1 of 2 images have no published poses")
    assert truth_warning([first, second]) == []
    assert benchmark_figures([own, second], iou="oriented", misses="count")["truth"] == "mixed"


def test_images_that_are_done_are_not_estimated_again(
    data: Path, detections: Path, tmp_path: Path
) -> None:
    results = NocsResults(tmp_path / "results")
    (detections / "results_test_scene_1_0001.pkl").unlink()
    first = benchmark(data, detections)
    run_images(first, results, first.images())
    detect(detections, "0001", [("bowl", 0.9, mask() == 9)])
    second = benchmark(data, detections, estimator=StubEstimator({1: pose(0.5)}))
    advanced: list[int] = []
    run_images(second, results, second.images(), lambda: advanced.append(1))
    assert len(advanced) == 2
    assert [len(x) for x in second.estimator.calls] == [1], "the image whose pickle was missing"
    results.path(first.images()[0]).write_bytes(b"damaged")
    assert results.read(first.images()[0]) is None
    run_images(benchmark(data, detections), results, first.images())
    assert results.read(first.images()[0]) is not None


def test_results_are_read_as_they_were_written_and_judged_the_same(
    data: Path, detections: Path, tmp_path: Path
) -> None:
    results = NocsResults(tmp_path / "results")
    made = benchmark(data, detections, estimator=StubEstimator({1: EXACT[1], 3: EXACT[3]}))
    run_images(made, results, made.images())
    written = [made.evaluate(x) for x in made.images()]
    read = [results.read(x) for x in made.images()]
    for a, b in zip(written, read, strict=True):
        assert b is not None
        assert (a.image, a.source, a.instances, a.detections, a.problems, a.state) == (
            b.image, b.source, b.instances, b.detections, b.problems, b.state,
        )  # fmt: skip
        np.testing.assert_array_equal(a.confidences, b.confidences)
    again = figures(read_nocs_results(results.folder, []), iou="repaired")
    found = benchmark_figures([x for x in read if x], iou="repaired", misses="ignore")
    assert found["per_category"] == again["per_category"]
    assert found["mean"] == again["mean"]


@pytest.mark.parametrize(
    "damage",
    [
        {"pred_scores": np.ones(1)},
        {"gt_RTs": np.ones((1, 4, 4))},
        {"gt_models": []},
        {"gt_class_ids": np.array([9, 9])},
        {"pred_class_ids": np.array(["a"] * 3)},
        {"gt_source": ["gts"]},
        {"stage_ms": [1]},
        {"problems": "none"},
        {"image_path": "Real/test/scene_1/0007"},
    ],
    ids=str,
)
def test_results_whose_entries_do_not_belong_together_are_made_again(
    data: Path, detections: Path, tmp_path: Path, damage: dict[str, object]
) -> None:
    made, results = benchmark(data, detections), NocsResults(tmp_path / "r")
    stem = made.images()[0]
    run_images(made, results, [stem])
    content = load_pickle(results.path(stem))
    results.path(stem).write_bytes(pickle.dumps(content | damage))
    assert results.read(stem) is None
    run_images(made, results, [stem])
    assert results.read(stem) is not None


def test_pictures_of_images_that_are_gone_are_left_out(data: Path, detections: Path) -> None:
    frames = [image_evaluation(x) for x in evaluated(benchmark(data, detections))]
    assert worst_images(data, frames, default_categories())
    assert worst_images(data / "nowhere", frames, default_categories()) == []


def test_only_the_settings_that_differ_are_named(tmp_path: Path) -> None:
    results = NocsResults(tmp_path)
    results.begin({"weights": {"a": "1", "b": "2"}})
    with pytest.raises(ConfigurationError, match=r'\(weights: b "2", now "3"\)'):
        results.begin({"weights": {"a": "1", "b": "3"}})
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(ConfigurationError, match="is a list: expected the settings"):
        results.begin({"weights": {}})


def test_other_settings_do_not_resume(tmp_path: Path) -> None:
    results = NocsResults(tmp_path / "results")
    results.begin({"scores": "detector", "categories": ["mug"]})
    results.begin({"scores": "detector", "categories": ["mug"]})
    with pytest.raises(ConfigurationError, match=r'other settings \(scores "detector", now "prod'):
        results.begin({"scores": "product", "categories": ["mug"]})
    (results.folder / "settings.json").write_text("rubbish")
    with pytest.raises(ConfigurationError, match=r"settings\.json: is not JSON"):
        results.begin({})
    (results.folder / "settings.json").unlink()
    (results.folder / "results_a.pkl").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"has pickles but no settings\.json"):
        results.begin({})


def test_a_folder_without_images_or_with_other_detections_is_an_error(
    data: Path, detections: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="val: no images"):
        benchmark(data, detections, part="CAMERA/val").images()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ConfigurationError, match=r"none of the 2 pickles .* results_test_scene_1_"):
        benchmark(data, other).images()


def test_the_nearest_estimates_have_errors(data: Path, detections: Path) -> None:
    first, _ = evaluated(benchmark(data, detections))
    frame = image_evaluation(first)
    errors = {x.reported.id: x.errors for x in frame.objects}
    assert errors[2] is None
    assert errors[1] is not None
    assert errors[1].trans_err_cm == pytest.approx(0.0, abs=1e-9)
    assert errors[3] is not None
    assert errors[3].rot_err_deg == pytest.approx(0.0, abs=1e-5)
    assert frame.truths is not None
    assert [x.symmetric_about_y for x in frame.truths] == [False, True]


def test_an_estimated_mug_is_converted_by_the_axis_of_its_body() -> None:
    """A body of 8 cm, 10 cm tall, with a handle that reaches 7 cm from the axis."""
    body = trimesh.creation.cylinder(0.04, 0.1, sections=64)
    body.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    handle = trimesh.creation.box((0.05, 0.04, 0.01))
    handle.apply_translation((0.045, 0.0, 0.0))
    mesh = trimesh.util.concatenate([body, handle])
    mesh.apply_translation(-mesh.bounds.mean(axis=0))
    sides = np.ptp(mesh.bounds, axis=0)
    found = replace(
        estimate(1, "mug", pose(0.0, 90.0)),
        translation=np.array([0.1, 0.0, 1.0]),
        scale=float(np.linalg.norm(sides)),
        dimensions_m=sides,
        vertices=mesh.vertices.astype(np.float32),
        faces=mesh.faces.astype(np.int32),
    )
    transform, size = benchmark_pose(found)
    scale = np.cbrt(np.linalg.det(transform[:3, :3]))
    # The handle points along -z of the camera; the axis is 15 mm from the centre of the box.
    np.testing.assert_allclose(transform[:3, 3], [0.1, 0.0, 1.015], atol=1e-4)
    np.testing.assert_allclose(scale * size, [0.14, 0.1, 0.08], atol=2e-4)
    np.testing.assert_allclose(transform[:3, :3] / scale, found.rotation, atol=1e-9)
    box, _ = benchmark_pose(replace(found, category="camera"))
    np.testing.assert_allclose(box[:3, 3], found.translation)

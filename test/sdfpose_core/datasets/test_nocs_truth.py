import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.instances import read_instances
from sdfpose_core.datasets.nocs import (
    NOCS_CATEGORIES,
    nocs_camera,
    read_nocs_image,
    write_nocs_image,
)
from sdfpose_core.datasets.nocs_frames import MugFrame, pose_matrix, split_pose
from sdfpose_core.datasets.nocs_preparation import prepare_scene
from sdfpose_core.datasets.nocs_results import read_dictionary
from sdfpose_core.datasets.nocs_truth import NocsTruths
from sdfpose_core.errors import ConfigurationError, FrameError
from sdfpose_core.evaluation import rotation_error_deg
from sdfpose_core.simulation.frames import simulated_frame
from sdfpose_core.simulation.mask_noise import MaskNoise
from sdfpose_core.simulation.nocs_data import object_coordinates
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.sensor import SensorNoise
from sdfpose_core.simulation.tabletop import orbit, table_scene

CATEGORIES = default_categories()
PART = "Real/test"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An image in the published layout, with the boxes of its models, and its true objects."""
    root = tmp_path_factory.mktemp("nocs")
    scene, camera, pose = table_scene(3), nocs_camera("Real"), orbit(0.4)
    frame, truths = simulated_frame(
        scene,
        camera,
        pose,
        np.random.default_rng(0),
        noise=SensorNoise.none(),
        mask_noise=MaskNoise.none(),
    )
    coordinates = object_coordinates(render(scene, camera, pose, colour=False), camera, truths)
    stem = root / PART / "scene_1" / "0000"
    write_nocs_image(stem, "Real", frame, coordinates, {x.mask_id: x.instance for x in truths})
    (root / "obj_models" / "real_test").mkdir(parents=True)
    for truth in truths:
        np.savetxt(root / "obj_models" / "real_test" / f"{truth.instance}.txt", truth.dimensions_m)
    return root, truths


@pytest.fixture
def root(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "data")


@pytest.fixture
def truths(made):
    return made[1]


@pytest.fixture
def image(root):
    return read_nocs_image(stem_of(root), "Real")


def stem_of(root):
    return root / PART / "scene_1" / "0000"


def official(truths, *, with_classes=True):
    """The content of a published file: poses in the frame of the maps."""
    content = {
        "gt_RTs": np.stack([pose_matrix(x.rotation, x.translation, x.scale) for x in truths]),
        "image_path": "data/real_test/scene_1/0000_color.png",
    }
    if with_classes:
        content |= {
            "gt_class_ids": np.array([class_of(x) for x in truths]),
            "gt_scales": np.stack([x.dimensions_m / x.scale for x in truths]),
            "gt_handle_visibility": np.array([not x.symmetric_about_y for x in truths], int),
        }
    return content


def class_of(truth):
    return 1 + NOCS_CATEGORIES.index(truth.category)


def box_of(image, mask_id):
    v, u = np.nonzero(image.frame.mask == mask_id)
    return [v.min(), u.min(), v.max() + 1, u.max() + 1]


def with_boxes(content, image, truths):
    return content | {"gt_bboxes": np.array([box_of(image, x.mask_id) for x in truths])}


def label(image, truths):
    """A label as Object-DeformNet writes it: in the frame of the benchmark."""
    poses, sizes = [], []
    for x in truths:
        pose, size = pose_matrix(x.rotation, x.translation, x.scale), x.dimensions_m / x.scale
        if x.category == "mug":
            pose, size = MugFrame.of_box(size).to_benchmark(pose, size)
        poses.append(pose)
        sizes.append(size)
    return {
        "class_ids": [class_of(x) for x in truths],
        "bboxes": np.array([box_of(image, x.mask_id) for x in truths]),
        "instance_ids": [x.mask_id for x in truths],
        "model_list": [x.instance for x in truths],
        "size": np.array(sizes),
        "scales": np.array([split_pose(x)[2] for x in poses]),
        "rotations": np.array([split_pose(x)[0] for x in poses]),
        "translations": np.array([split_pose(x)[1] for x in poses]),
        "poses": np.array(poses),
        "handle_visibility": np.array([not x.symmetric_about_y for x in truths], int),
    }


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def gts_of(root, name="results_real_test_scene_1_0000.pkl"):
    return root / "gts" / "real_test" / name


def nocs_results_of(root):
    return root / "results" / "nocs_results" / "real_test" / "results_test_scene_1_0000.pkl"


def label_of(root):
    return stem_of(root).with_name("0000_label.pkl")


def read(root, image, choice="auto"):
    return NocsTruths(root, PART, CATEGORIES, choice).of(image, stem_of(root))


def check(found, truths):
    """The objects are the true ones exactly, in our frame as well as in the benchmark's."""
    assert [x.mask_id for x in found.objects] == [x.mask_id for x in truths]
    for a, b in zip(found.objects, truths, strict=True):
        ours = a.ground_truth(a.mask_id, CATEGORIES)
        assert (ours.category, ours.instance) == (b.category, b.instance)
        assert ours.symmetric_about_y == b.symmetric_about_y
        symmetric = CATEGORIES[b.category].symmetry == "y"
        assert rotation_error_deg(ours.rotation, b.rotation, symmetric) < 1e-4
        np.testing.assert_allclose(ours.translation, b.translation, atol=1e-9)
        np.testing.assert_allclose(ours.dimensions_m, b.dimensions_m, atol=1e-9)
        sides, origin = b.dimensions_m.copy(), b.translation
        if b.category == "mug":
            axis = 0.5 * (sides[2] - sides[0])
            origin = origin + axis * b.rotation[:, 0]
            sides[0] += 2.0 * abs(axis)
        rotation, translation, scale = split_pose(a.transform)
        np.testing.assert_allclose(rotation, b.rotation, atol=1e-9)
        np.testing.assert_allclose(translation, origin, atol=1e-9)
        np.testing.assert_allclose(scale * a.size, sides, atol=1e-9)


def test_the_sources_are_taken_in_order(root, image, truths):
    found = read(root, image)
    assert found.source == "coordinate_maps"
    assert "figures are not the benchmark's; expected results/nocs_results/" in found.problems[0]
    write(label_of(root), label(image, truths))
    found = read(root, image)
    assert (found.source, found.problems, found.published) == ("label", [], True)
    check(found, truths)
    write(gts_of(root), official(truths, with_classes=False))
    found = read(root, image)
    assert (found.source, found.problems) == ("gts", [])
    check(found, truths)
    write(nocs_results_of(root), with_boxes(official(truths), image, truths))
    found = read(root, image)
    assert (found.source, found.problems) == ("nocs_results", [])
    check(found, truths)
    for choice in ("nocs_results", "gts", "label", "coordinate_maps"):
        assert read(root, image, choice).source == choice


def test_poses_of_the_maps_are_near_the_true_ones(root, image, truths):
    found = read(root, image)
    for a, b in zip(found.objects, truths, strict=True):
        ours = a.ground_truth(a.mask_id, CATEGORIES)
        assert rotation_error_deg(ours.rotation, b.rotation, b.symmetric_about_y) < 1.5
        np.testing.assert_allclose(ours.translation, b.translation, atol=0.006)
        np.testing.assert_allclose(ours.dimensions_m, b.dimensions_m, rtol=0.03)


def test_what_concerns_all_images_is_told_once(root, image):
    some = NocsTruths(root, PART, CATEGORIES)
    assert len(some.of(image, stem_of(root)).problems) == 1
    assert some.of(image, stem_of(root)).problems == []
    # The maps are what the published labels of the training images are made of.
    train = root / "Real" / "train" / "scene_1" / "0000"
    shutil.copytree(stem_of(root).parent, train.parent)
    shutil.copytree(root / "obj_models" / "real_test", root / "obj_models" / "real_train")
    assert NocsTruths(root, "Real/train", CATEGORIES).of(image, train).problems == []


def test_objects_are_matched_by_class_and_box(root, image, truths):
    content = with_boxes(official(truths), image, truths)
    order = np.random.default_rng(1).permutation(len(truths))
    content |= {k: v[order] for k, v in content.items() if k != "image_path"}
    content["gt_bboxes"] = content["gt_bboxes"] + np.array([1, -1, 2, 1])
    write(nocs_results_of(root), content)
    found = read(root, image)
    assert found.problems == []
    check(found, truths)
    content["gt_bboxes"][0] += np.array([1, 0, 0, 0])  # now the difference is 6 or 4 pixels
    content["gt_bboxes"][0, 1] -= 3
    write(nocs_results_of(root), content)
    found = read(root, image)
    assert len(found.objects) == len(truths) - 1
    assert "object 0 (class" in found.problems[0]
    assert "matches no instance of the mask" in found.problems[0]
    assert f"instance {truths[order[0]].mask_id} (" in found.problems[1]
    assert "has no true pose" in found.problems[1]


@pytest.mark.parametrize(
    "path", ["data/val/scene_1/0000_color.png", "x/real_train/scene_1/0000", "a/test/scene_1/0001"]
)
def test_a_file_of_another_split_or_image_is_named(root, image, truths, path):
    content = official(truths, with_classes=False) | {"image_path": path}
    write(gts_of(root), content)
    with pytest.raises(FrameError, match="expected real_test/scene_1/0000; it belongs to another"):
        read(root, image, "gts")
    found = read(root, image)
    assert found.source == "coordinate_maps"
    assert "the next source of true poses is taken" in found.problems[0]


def test_a_file_of_another_split_is_named_by_its_own_name(root, image, truths):
    write(gts_of(root, "results_real_train_scene_1_0000.pkl"), official(truths))
    with pytest.raises(
        FrameError, match=r"not results_real_train_scene_1_0000\.pkl, which is of an"
    ):
        read(root, image, "gts")


def test_poses_without_boxes_are_checked_by_the_maps(root, image, truths):
    moved = [replace(x, translation=x.translation + 0.2) for x in truths]
    write(gts_of(root), official(moved, with_classes=False))
    with pytest.raises(FrameError, match="do not fit their maps of object coordinates: expected"):
        read(root, image, "gts")
    swapped = [truths[1], truths[0], *truths[2:]]
    write(gts_of(root), official(swapped, with_classes=False))
    with pytest.raises(FrameError, match="do not fit their maps of object coordinates in this ord"):
        read(root, image, "gts")
    # A single pose that does not fit is the published one nevertheless.
    write(gts_of(root), official([moved[0], *truths[1:]], with_classes=False))
    found = read(root, image, "gts")
    check(found, [moved[0], *truths[1:]])
    assert len(found.problems) == 1
    assert "differs from that of its map by" in found.problems[0]
    write(gts_of(root), official(truths[1:], with_classes=False))
    with pytest.raises(FrameError, match=f"has {len(truths) - 1} poses and no boxes: expected"):
        read(root, image, "gts")
    content = official(truths)
    content["gt_class_ids"] = content["gt_class_ids"] % 6 + 1
    write(gts_of(root), content)
    with pytest.raises(FrameError, match="has the classes"):
        read(root, image, "gts")


class Code:
    def __reduce__(self):
        return eval, ("1 + 1",)


@pytest.mark.parametrize("path_of", [nocs_results_of, gts_of, label_of])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"gt_RTs": Code(), "class_ids": Code()}, "refers to builtins.eval, which is not plain"),
        ([1, 2], "contains a list: expected a dictionary"),
        ({"x": 1}, "has keys x: expected (gt_RTs|class_ids) among them"),
        ({"gt_RTs": np.zeros((2, 3)), "class_ids": np.zeros((2, 3))}, r"has shape \(2, 3\)"),
    ],
)
def test_unusable_pickles_are_named(root, image, path_of, content, message):
    write(path_of(root), content)
    found = read(root, image)
    assert found.source == "coordinate_maps"
    assert str(path_of(root)) in found.problems[0]
    choice = {nocs_results_of: "nocs_results", gts_of: "gts", label_of: "label"}[path_of]
    with pytest.raises(FrameError, match=message):
        read(root, image, choice)


def test_a_label_with_instances_that_are_not_in_the_mask(root, image, truths):
    content = label(image, truths)
    ids = content["instance_ids"]
    content["instance_ids"] = [77, *ids[1:]]
    content["bboxes"][1] += 40
    content["poses"][2] = np.nan
    write(label_of(root), content)
    found = read(root, image)
    check(found, truths[3:])
    named = "\n".join(found.problems)
    assert "instance 77 is not in the mask: expected one of 1, 2" in named
    assert f"instance {ids[1]} has class {content['class_ids'][1]} and box" in named
    assert f"instance {ids[2]} ({truths[2].category}) of {image.name} has no pose" in named
    for mask_id in ids[:3]:
        assert f"instance {mask_id} ({image.frame.labels[mask_id].category}) of" in named
    content["instance_ids"] = [100 + x for x in ids]
    write(label_of(root), content)
    with pytest.raises(FrameError, match=f"none of its {len(ids)} instances is one of"):
        read(root, image, "label")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_of_a_label_that_are_not_finite_match_nothing(root, image, truths, value):
    content = label(image, truths)
    content["instance_ids"] = [value, *content["instance_ids"][1:]]
    content["bboxes"] = content["bboxes"].astype(float)
    content["bboxes"][1, 0] = value
    write(label_of(root), content)
    found = read(root, image, "label")
    check(found, truths[2:])
    named = "\n".join(found.problems)
    assert f"instance {value} is not in the mask" in named
    assert f"and box [{value}, " in named


@pytest.mark.filterwarnings("error")
def test_a_file_without_a_usable_pose_is_not_taken(root, image, truths):
    content = with_boxes(official(truths), image, truths)
    content["gt_bboxes"] = np.vstack([content["gt_bboxes"], np.full((1, 4), np.inf)])
    for name, last in (("gt_class_ids", 1), ("gt_RTs", np.eye(4)), ("gt_scales", np.ones(3))):
        content[name] = np.concatenate([content[name], [last]])
    content.pop("gt_handle_visibility", None)
    content["gt_RTs"] = content["gt_RTs"] * np.nan
    write(nocs_results_of(root), content)
    with pytest.raises(FrameError, match=r"none of its \d+ objects has a pose and a size"):
        read(root, image, "nocs_results")
    assert read(root, image).source == "coordinate_maps"


def test_a_label_of_a_training_image_has_neither_sizes_nor_matrices(root, image, truths):
    content = label(image, truths)
    del content["size"], content["poses"], content["handle_visibility"]
    write(label_of(root), content)
    found = read(root, image)
    assert found.problems == []
    check(found, truths)


def test_instances_without_a_model(root, image, truths):
    mug = next(x for x in truths if x.category == "mug")
    other = next(x for x in truths if x.category != "mug")
    for x in (mug, other):
        (root / "obj_models" / "real_test" / f"{x.instance}.txt").unlink()
    content = with_boxes(official(truths), image, truths)
    write(nocs_results_of(root), content)
    found = read(root, image)
    assert sorted(x.split("'")[1] for x in found.problems) == sorted([mug.instance, other.instance])
    check(found, truths)  # by gt_scales
    write(gts_of(root), official(truths, with_classes=False))
    found = read(root, image, "gts")
    assert len(found.objects) == len(truths) - 2
    assert sum("has no size: expected gt_scales, or the model below" in x for x in found.problems)
    write(label_of(root), label(image, truths))
    check(read(root, image, "label"), truths)


def test_objects_with_too_little_depth_are_not_counted(root, image, truths):
    write(nocs_results_of(root), with_boxes(official(truths), image, truths))
    hidden = image.frame.mask == truths[0].mask_id
    depth = np.where(hidden, 0.0, image.frame.depth).astype(np.float32)
    spoilt = replace(image, frame=replace(image.frame, depth=depth))
    found = read(root, spoilt)
    assert [x.mask_id for x in found.objects] == [x.mask_id for x in truths[1:]]
    assert (
        "has 0 pixels with depth: the benchmark counts objects with at least 64"
        in (found.problems[0])
    )


def test_the_published_evaluation_leaves_out_faulty_renderings(root, image):
    mask = image.frame.mask.copy()
    mask[:, 320] = next(iter(image.frame.labels))
    assert not read(root, replace(image, frame=replace(image.frame, mask=mask))).published
    empty = replace(image, frame=replace(image.frame, labels={}), models={})
    found = read(root, empty)
    assert (found.objects, found.published) == ([], False)


def test_a_source_that_is_not_at_hand_is_an_error(root):
    with pytest.raises(ConfigurationError, match=r"gts/real_test/\*\.pkl: no such files.*at hand"):
        NocsTruths(root, PART, CATEGORIES, "gts")


def test_prepared_data_have_the_published_poses_and_name_their_source(
    root, image, truths, tmp_path
):
    write(gts_of(root), official(truths, with_classes=False))
    out = tmp_path / "out"
    made = prepare_scene(root, PART, "scene_1", out, NocsTruths(root, PART, CATEGORIES))
    assert made.truth == {"gts": 1}
    report = out / PART / "scene_1" / "report.json"
    assert json.loads(report.read_text())["truth"] == {"gts": 1}
    known = {x.mask_id: x for x in truths}
    for path in (out / PART / "scene_1").glob("*.npz"):
        for item in read_instances(path):
            expected = known.pop(item.truth.mask_id)
            np.testing.assert_allclose(item.truth.translation, expected.translation, atol=1e-9)
            np.testing.assert_allclose(item.truth.dimensions_m, expected.dimensions_m, atol=1e-9)
    assert known == {}
    # Scenes that an earlier version prepared are prepared again.
    report.write_text(json.dumps({"images": 9, "instances": {}, "problems": []}))
    again = prepare_scene(root, PART, "scene_1", out, NocsTruths(root, PART, CATEGORIES))
    assert again.images == 1


def test_a_scene_is_prepared_again_if_something_is_missing_or_new(root, truths, tmp_path):
    scene = tmp_path / PART / "scene_1"

    def prepare(colour="png", detections=None):
        truth = NocsTruths(root, PART, CATEGORIES)
        return prepare_scene(root, PART, "scene_1", tmp_path, truth, detections, colour)

    assert prepare().truth == {"coordinate_maps": 1}
    files = sorted(scene.iterdir())
    files[0].unlink()
    prepare()
    assert sorted(scene.iterdir()) == files
    (scene / "report.json").write_text("{")
    prepare()
    write(gts_of(root), official(truths, with_classes=False))
    assert prepare().truth == {"gts": 1}
    for changes, problem in (
        ({"colour": "jpeg"}, "--colour png, now jpeg"),
        ({"colour": None}, "--colour png, now none"),
        ({"detections": tmp_path}, "--detections none, now"),
    ):
        before = [x.stat().st_mtime_ns for x in sorted(scene.iterdir())]
        with pytest.raises(ConfigurationError, match=f"other options .{problem}.*choose another"):
            prepare(**changes)
        assert before == [x.stat().st_mtime_ns for x in sorted(scene.iterdir())]


@pytest.mark.parametrize(
    ("part", "scene", "name", "mug"),
    [
        ("Real/test", "scene_1", "real_test/results_real_test_scene_1_0000.pkl", "mug_daniel_norm"),
        ("CAMERA/val", "00000", "val/results_val_00000_0000.pkl", None),
    ],
)
def test_every_instance_of_the_sample_has_the_published_pose(nocs_sample, part, scene, name, mug):
    stem = nocs_sample / part / scene / "0000"
    image = read_nocs_image(stem, "Real" if part.startswith("Real") else "CAMERA", root=nocs_sample)
    found = NocsTruths(nocs_sample, part, CATEGORIES).of(image, stem)
    assert (found.source, found.problems, found.published) == ("gts", [], True)
    assert image.problems == []  # of the distractors
    published = read_dictionary(nocs_sample / "gts" / name)["gt_RTs"]
    assert len(found.objects) == len(image.frame.labels) == len(published)
    maps = NocsTruths(nocs_sample, part, CATEGORIES, "coordinate_maps").of(image, stem)
    from_maps = {x.mask_id: x for x in maps.objects}
    for a, transform in zip(found.objects, published, strict=True):
        if a.category == "mug":
            assert a.model == mug
            moved = a.mug_frame.to_ours(a.transform, a.size)[0]
            np.testing.assert_allclose(moved, transform, atol=1e-6)
            # Its origin is on the axis of the body, so the box is longer by twice the difference.
            np.testing.assert_allclose(
                split_pose(a.transform)[2] * a.size, [0.1398, 0.1011, 0.0740], atol=1e-4
            )
            axis = 0.5 * (0.07403 - 0.10693)
            origin = transform[:3, 3] + axis * split_pose(transform)[0][:, 0]
            np.testing.assert_allclose(a.transform[:3, 3], origin, atol=1e-5)
        else:
            np.testing.assert_allclose(a.transform, transform, atol=1e-6)
        ours = a.ground_truth(a.mask_id, CATEGORIES)
        np.testing.assert_allclose(ours.translation, transform[:3, 3], atol=1e-6)
        near = from_maps[a.mask_id].ground_truth(a.mask_id, CATEGORIES)
        assert rotation_error_deg(ours.rotation, near.rotation, True) < 6.0
        assert np.linalg.norm(ours.translation - near.translation) < 0.03

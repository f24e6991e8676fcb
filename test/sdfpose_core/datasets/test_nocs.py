from dataclasses import replace

import cv2
import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.nocs import (
    nocs_camera,
    nocs_images,
    read_nocs_image,
    write_nocs_image,
)
from sdfpose_core.datasets.nocs_preparation import prepare_scene
from sdfpose_core.datasets.nocs_truth import NocsTruths
from sdfpose_core.errors import FrameError
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame

CATEGORIES = default_categories()
MODELS = {1: "mug_one_norm", 3: "can_two_norm"}


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    mask = np.zeros((480, 640), np.uint16)
    mask[100:150, 200:280], mask[300:330, 50:70] = 1, 3
    return RgbdFrame(
        colour=rng.integers(0, 255, (480, 640, 3)).astype(np.uint8),
        depth=np.where(mask > 0, 0.834, 2.5).astype(np.float32),
        mask=mask,
        camera=nocs_camera("Real"),
        labels={1: InstanceLabel("mug"), 3: InstanceLabel("can")},
    )


@pytest.fixture
def coordinates(frame):
    rng = np.random.default_rng(1)
    values = rng.uniform(-0.5, 0.5, (480, 640, 3)).astype(np.float32)
    return np.where(frame.mask[..., None] > 0, values, 0.0)


@pytest.fixture
def stem(tmp_path, frame, coordinates):
    stem = tmp_path / "Real" / "train" / "scene_1" / "0007"
    write_nocs_image(stem, "Real", frame, coordinates, MODELS)
    return stem


def part(stem, name):
    return stem.with_name(stem.name + name)


def test_a_real_image_is_read_as_it_was_written(stem, frame, coordinates):
    image = read_nocs_image(stem, "Real")
    assert image.name == "Real/train/scene_1/0007"
    assert image.problems == []
    assert image.models == MODELS
    assert image.frame.labels == frame.labels
    assert image.frame.camera == nocs_camera("Real")
    np.testing.assert_array_equal(image.frame.colour, frame.colour)
    np.testing.assert_array_equal(image.frame.mask, frame.mask)
    np.testing.assert_allclose(image.frame.depth, frame.depth, atol=5e-4)
    np.testing.assert_allclose(image.coordinates, coordinates, atol=0.5 / 255 + 1e-6)


def test_the_z_coordinate_is_stored_left_handed(stem, coordinates):
    blue = cv2.imread(str(part(stem, "_coord.png")))[120, 240, 0] / 255.0
    assert blue == pytest.approx(0.5 - coordinates[120, 240, 2], abs=3e-3)


def test_the_depth_of_camera_is_packed_and_has_the_instances_alone(tmp_path, frame, coordinates):
    stem = tmp_path / "CAMERA" / "val" / "00012" / "0003"
    write_nocs_image(stem, "CAMERA", frame, coordinates, MODELS)
    alone = read_nocs_image(stem, "CAMERA").frame
    assert alone.depth[0, 0] == 0.0
    assert alone.depth[120, 240] == pytest.approx(0.834)
    assert alone.camera == nocs_camera("CAMERA")
    write_nocs_image(stem, "CAMERA", frame, coordinates, MODELS, root=tmp_path)
    assert (tmp_path / "camera_full_depths/val/00012/0003_composed.png").is_file()
    assert read_nocs_image(stem, "CAMERA").frame.depth[0, 0] == pytest.approx(2.5)


def test_images_are_found_in_order_whole_or_not(tmp_path, stem, frame, coordinates):
    write_nocs_image(stem.with_name("0002"), "Real", frame, coordinates, MODELS)
    part(stem.with_name("0002"), "_depth.png").unlink()
    (stem.parent / "notes.txt").write_text("nothing")
    found = list(nocs_images(tmp_path / "Real" / "train"))
    assert [x.name for x in found] == ["0002", "0007"]
    with pytest.raises(FrameError, match=r"0002: lacks 0002_depth\.png: expected 0002_color\.png"):
        read_nocs_image(found[0], "Real")


def test_background_and_unseen_instances_have_no_label(stem):
    meta = part(stem, "_meta.txt")
    meta.write_text(meta.read_text() + "2 4 hidden_norm\n9 0 table\n\n")
    image = read_nocs_image(stem, "Real")
    assert set(image.models) == {1, 3}
    assert image.problems == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_meta_file_of_a_windows_editor_loses_no_instance(stem, encoding):
    meta = part(stem, "_meta.txt")
    meta.write_bytes(meta.read_text().replace("\n", "\r\n").encode(encoding))
    image = read_nocs_image(stem, "Real")
    assert set(image.models) == {1, 3}
    assert image.problems == []


def test_distractors_and_unlisted_instances(tmp_path, stem):
    """Instances of class 0 are none of the six; ids without a line are counted by scene."""
    mask = cv2.imread(str(part(stem, "_mask.png")))
    mask[400:450, 400:450], mask[400:450, 500:550] = 8, 9
    cv2.imwrite(str(part(stem, "_mask.png")), mask)
    meta = part(stem, "_meta.txt")
    meta.write_text(meta.read_text() + "8 0 some_lamp\n")
    image = read_nocs_image(stem, "Real")
    assert set(image.frame.labels) == {1, 3}
    assert image.problems == []
    assert image.unlisted == {9}
    assert {8, 9} <= set(np.unique(image.frame.mask))  # so that they belong to no table
    truths = NocsTruths(tmp_path, "Real/train", CATEGORIES)
    made = prepare_scene(tmp_path, "Real/train", "scene_1", tmp_path / "out", truths)
    about = [x for x in made.problems if "has no pose" not in x and "no usable model" not in x]
    assert about == [
        "Real/train/scene_1: 1 frame: Real/train/scene_1/0007: mask ids 9 have no line in "
        "_meta.txt: expected one per instance; skipped"
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("mug 1 x", "line 3 is 'mug 1 x': expected an instance id"),
        ("3", "line 3 is '3': expected an instance id"),
        ("3 7 x", "line 3 has class id 7: expected 0 to 6"),
        ("1 6 again", "line 3 repeats the instance id 1 of an earlier line"),
    ],
)
def test_lines_that_cannot_be_used(stem, line, problem):
    meta = part(stem, "_meta.txt")
    meta.write_text(meta.read_text() + line + "\n")
    image = read_nocs_image(stem, "Real")
    assert len(image.problems) == 1
    assert problem in image.problems[0]
    assert str(meta) in image.problems[0]
    assert set(image.models) == {1, 3}


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("_depth.png", np.zeros((480, 640), np.uint8), "_depth.png: is 8-bit with 1 channel"),
        ("_depth.png", np.zeros((240, 320), np.uint16), "is 320x240: expected 640x480, the size"),
        ("_mask.png", np.zeros((480, 640), np.uint16), "_mask.png: is 16-bit with 1 channel"),
        ("_coord.png", np.zeros((480, 640), np.uint8), "_coord.png: is 8-bit with 1 channel"),
    ],
)
def test_images_of_another_kind(stem, name, image, message):
    cv2.imwrite(str(part(stem, name)), image)
    with pytest.raises(FrameError, match=message):
        read_nocs_image(stem, "Real")


def test_damaged_files(stem):
    part(stem, "_mask.png").write_bytes(part(stem, "_mask.png").read_bytes()[:50])
    with pytest.raises(FrameError, match=r"0007_mask\.png: cannot be decoded \(50 bytes"):
        read_nocs_image(stem, "Real")


def test_what_does_not_fit_the_format_is_not_written(tmp_path, frame, coordinates):
    with pytest.raises(FrameError, match="mask id 302: expected ids below 255"):
        write_nocs_image(
            tmp_path / "0000", "Real", replace(frame, mask=frame.mask + 299), coordinates, MODELS
        )
    with pytest.raises(FrameError, match=r"instance 3 \(can\) cannot be written"):
        write_nocs_image(tmp_path / "0000", "Real", frame, coordinates, {1: "mug"})
    assert list(tmp_path.iterdir()) == []

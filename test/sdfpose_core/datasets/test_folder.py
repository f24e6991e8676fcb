import json
import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets import (
    frame_folders,
    read_frame,
    read_frames,
    write_frame,
    write_masks,
)
from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, RgbdFrame
from sdfpose_core.observation.segmentation import segment

ROOT = Path(__file__).parents[3]
REAL_FRAMES = Path(os.environ.get("SDFPOSE_REAL_DATA", ROOT.parent / "shared" / "real")) / "frames"

TURN = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    mask = np.zeros((24, 32), np.uint16)
    mask[4:12, 4:12] = 1
    mask[14:20, 10:30] = 300
    return RgbdFrame(
        colour=rng.integers(0, 255, (24, 32, 3), dtype=np.uint8),
        depth=rng.uniform(0.0, 3.0, (24, 32)).astype(np.float32),
        mask=mask,
        camera=PinholeCamera(32, 24, 90.0, 93.0, 15.0, 12.5),
        labels={1: InstanceLabel("mug"), 300: InstanceLabel("laptop")},
    )


@pytest.fixture
def truth():
    return GroundTruth(
        mask_id=1,
        category="mug",
        instance="mug_anna",
        rotation=TURN,
        translation=np.array([0.1, -0.2, 0.9]),
        dimensions_m=np.array([0.12, 0.1, 0.08]),
        symmetric_about_y=True,
    )


@pytest.fixture
def folder(tmp_path, frame, truth):
    write_frame(tmp_path / "kitchen", frame, [truth])
    return tmp_path / "kitchen"


def edit_meta(folder, change):
    meta = json.loads((folder / "meta.json").read_text())
    change(meta)
    (folder / "meta.json").write_text(json.dumps(meta))


def write_image(path, array):
    assert cv2.imwrite(str(path), array)


class TestRoundTrip:
    def test_images_camera_and_labels(self, folder, frame):
        read = read_frame(folder)
        assert read.name == "kitchen"
        assert read.problems == []
        np.testing.assert_array_equal(read.frame.colour, frame.colour)
        np.testing.assert_array_equal(read.frame.mask, frame.mask)
        assert read.frame.mask.dtype == np.uint16
        np.testing.assert_allclose(read.frame.depth, frame.depth, atol=0.0005 + 1e-6)
        assert read.frame.camera == frame.camera
        assert read.frame.labels == frame.labels

    def test_ground_truth(self, folder, truth):
        read = read_frame(folder)
        assert len(read.ground_truth) == 1
        got = read.ground_truth[0]
        assert (got.mask_id, got.category, got.instance) == (1, "mug", "mug_anna")
        assert got.symmetric_about_y is True
        np.testing.assert_array_equal(got.rotation, truth.rotation)
        np.testing.assert_array_equal(got.translation, truth.translation)
        np.testing.assert_array_equal(got.dimensions_m, truth.dimensions_m)
        assert read.instances == {1: "mug_anna", 300: "laptop_300"}

    def test_only_k_id_and_category_are_needed(self, folder):
        meta = {"K": np.eye(3).tolist(), "objects": [{"mask_id": 1, "category": "mug"}]}
        (folder / "meta.json").write_text(json.dumps(meta))
        read = read_frame(folder)
        assert read.problems == []
        assert read.ground_truth == []
        assert list(read.frame.labels) == [1]

    def test_the_name_of_a_relative_path(self, folder, monkeypatch):
        monkeypatch.chdir(folder)
        assert read_frame(".").name == "kitchen"

    def test_an_existing_folder_is_not_overwritten(self, folder, frame):
        with pytest.raises(FrameError, match="kitchen: already exists: remove it or choose"):
            write_frame(folder, frame)

    def test_a_failed_write_leaves_nothing(self, tmp_path, frame, truth, monkeypatch):
        def full(*args, **kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("pathlib.Path.write_text", full)
        with pytest.raises(FrameError, match="cannot be written: No space left on device"):
            write_frame(tmp_path / "kitchen", frame, [truth])
        assert [p.name for p in tmp_path.iterdir()] == []


class TestWholeFrameErrors:
    def test_no_folder(self, tmp_path):
        with pytest.raises(FrameError, match=r"nowhere: no such folder: expected one with color"):
            read_frame(tmp_path / "nowhere")

    def test_missing_files_are_all_named(self, folder):
        (folder / "depth.png").unlink()
        (folder / "meta.json").unlink()
        with pytest.raises(
            FrameError,
            match=r"kitchen: lacks depth\.png, meta\.json: expected the files color\.png, depth",
        ):
            read_frame(folder)

    @pytest.mark.parametrize("name", ["color.png", "depth.png", "mask.png"])
    @pytest.mark.parametrize("content", [b"", b"no image at all"])
    def test_rubbish(self, folder, name, content):
        (folder / name).write_bytes(content)
        with pytest.raises(
            FrameError,
            match=rf"{name}: cannot be decoded \({len(content)} bytes, .*: expected a PNG file",
        ):
            read_frame(folder)

    def test_another_type_of_depth(self, folder):
        write_image(folder / "depth.png", np.zeros((24, 32), np.uint8))
        with pytest.raises(
            FrameError,
            match=r"depth\.png: is 8-bit with 1 channel\(s\): expected 16-bit, one channel",
        ):
            read_frame(folder)

    def test_a_mask_in_colours(self, folder):
        write_image(folder / "mask.png", np.zeros((24, 32, 3), np.uint8))
        with pytest.raises(
            FrameError,
            match=r"mask\.png: is 8-bit with 3 channel\(s\): expected 8- or 16-bit, one channel",
        ):
            read_frame(folder)

    def test_another_type_of_colour(self, folder):
        (folder / "color.png").write_bytes(
            cv2.imencode(".tiff", np.zeros((24, 32, 3), np.float32))[1].tobytes()
        )
        with pytest.raises(
            FrameError, match=r"color\.png: is 32-bit with 3 .*expected 8- or 16-bit RGB, RGBA or"
        ):
            read_frame(folder)

    @pytest.mark.parametrize("name", ["depth.png", "mask.png"])
    def test_another_size(self, folder, name):
        write_image(folder / name, np.zeros((12, 16), np.uint16))
        with pytest.raises(
            FrameError, match=rf"{name}: is 16x12: expected 32x24, the size of color\.png"
        ):
            read_frame(folder)

    @pytest.mark.parametrize("text", ["{", "", "\xff", "[" * 100_000])
    def test_malformed_json(self, folder, text):
        (folder / "meta.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(FrameError, match=r"meta\.json: cannot be read as JSON: "):
            read_frame(folder)

    def test_json_of_another_kind(self, folder):
        (folder / "meta.json").write_text("[1]")
        with pytest.raises(FrameError, match=r"meta\.json: holds a list: expected an object"):
            read_frame(folder)

    @pytest.mark.parametrize(
        ("k", "message"),
        [
            ([[1, 2], [3, 4]], r"K is \[\[1, 2\], \[3, 4\]\]: expected the intrinsic matrix, 3x3"),
            ([[1, 2, 3], [3, 4]], "K is .*: expected the intrinsic matrix, 3x3"),
            ([["a", 0, 0], [0, 1, 0], [0, 0, 1]], "K is .*: expected the intrinsic matrix, 3x3"),
            ([[float("nan"), 0, 0], [0, 1, 0], [0, 0, 1]], "K is .*: expected the intrinsic"),
            (np.zeros((3, 3)).tolist(), r"meta\.json: intrinsics fx=0\.0, fy=0\.0.*invalid"),
        ],
    )
    def test_intrinsics(self, folder, k, message):
        edit_meta(folder, lambda meta: meta.update(K=k))
        with pytest.raises(FrameError, match=message):
            read_frame(folder)

    def test_no_intrinsics(self, folder):
        edit_meta(folder, lambda meta: meta.pop("K"))
        with pytest.raises(FrameError, match=r"meta\.json: has no key 'K': expected the intrins"):
            read_frame(folder)

    def test_no_objects(self, folder):
        edit_meta(folder, lambda meta: meta.pop("objects"))
        with pytest.raises(FrameError, match="has no key 'objects': expected a list of objects"):
            read_frame(folder)

    def test_objects_that_are_no_list(self, folder):
        edit_meta(folder, lambda meta: meta.update(objects={"1": "mug"}))
        with pytest.raises(FrameError, match="'objects' is not a list: expected a list of objects"):
            read_frame(folder)


class TestMasksThatAreMade:
    """Where a source makes the masks, none are needed."""

    def test_a_frame_without_a_mask(self, folder, frame, truth):
        (folder / "mask.png").unlink()
        with pytest.raises(FrameError, match=r"lacks mask\.png: .*choose a source with --masks"):
            read_frame(folder)
        read = read_frame(folder, needs_mask=False)
        assert not read.has_mask
        assert not read.frame.mask.any()
        assert read.problems == []
        assert read.frame.labels == frame.labels
        assert [x.mask_id for x in read.ground_truth] == [truth.mask_id]

    def test_a_mask_that_is_there_is_read(self, folder, frame):
        read = read_frame(folder, needs_mask=False)
        assert read.has_mask
        np.testing.assert_array_equal(read.frame.mask, frame.mask)

    def test_intrinsics_are_all_that_meta_json_needs(self, folder):
        (folder / "meta.json").write_text(json.dumps({"K": np.eye(3).tolist()}))
        assert read_frame(folder, needs_mask=False).frame.labels == {}

    def test_depth_is_still_needed_but_not_colour(self, folder):
        for name in ("color.png", "mask.png"):
            (folder / name).unlink()
        read = read_frame(folder, needs_mask=False)
        assert not read.has_mask
        assert not read.frame.colour.any()
        assert [x.kind for x in read.warnings] == ["color.png"]
        (folder / "depth.png").unlink()
        with pytest.raises(
            FrameError,
            match=r"lacks color\.png, depth\.png: expected the files color\.png, depth\.png, "
            r"meta\.json$",
        ):
            read_frame(folder, needs_mask=False)

    def test_frames_of_a_folder(self, folder):
        (folder / "mask.png").unlink()
        problems = []
        assert list(read_frames(folder, problems)) == []
        assert len(list(read_frames(folder, problems, needs_mask=False))) == 1
        assert len(problems) == 1

    def test_masks_are_written_in_the_same_format(self, folder, frame, tmp_path):
        write_masks(tmp_path / "made" / "kitchen", frame)
        write_masks(tmp_path / "made" / "kitchen", frame)  # replaces those of an earlier run
        for name in ("mask.png", "meta.json"):
            (folder / name).unlink()
            (tmp_path / "made" / "kitchen" / name).rename(folder / name)
        read = read_frame(folder)
        np.testing.assert_array_equal(read.frame.mask, frame.mask)
        assert read.frame.labels == frame.labels
        assert read.frame.camera == frame.camera

    def test_masks_that_cannot_be_written(self, tmp_path, frame):
        (tmp_path / "file").touch()
        with pytest.raises(FrameError, match="file/kitchen: the masks cannot be written: Not a"):
            write_masks(tmp_path / "file" / "kitchen", frame)


class TestProblems:
    """One object's defect leaves the others of the frame alone."""

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            (
                {"mask_id": 9, "category": "can"},
                "object 9 (can) has no pixel in mask.png: expected pixels of value 9; skipped",
            ),
            ("mug", "objects[2] is 'mug': expected a JSON object; skipped"),
            (
                {"mask_id": "1", "category": "can"},
                "objects[2].mask_id is '1': expected an integer from 1 to 65535; skipped",
            ),
            (
                {"mask_id": True, "category": "can"},
                "objects[2].mask_id is True: expected an integer from 1 to 65535; skipped",
            ),
            (
                {"mask_id": 0, "category": "can"},
                "objects[2].mask_id is 0: expected an integer from 1 to 65535; skipped",
            ),
            (
                {"category": "can"},
                "objects[2].mask_id is None: expected an integer from 1 to 65535; skipped",
            ),
            ({"mask_id": 2}, "objects[2].category is None: expected a name; skipped"),
            (
                {"mask_id": 2, "category": "\ud800"},
                "objects[2].category is '\\ud800': expected a name; skipped",
            ),
            (
                {"mask_id": 1, "category": "can"},
                "objects[2] repeats the mask_id 1 of an earlier object: expected one object per "
                "id; skipped",
            ),
        ],
    )
    def test_an_object(self, folder, entry, message):
        edit_meta(folder, lambda meta: meta["objects"].append(entry))
        read = read_frame(folder)
        assert read.problems == [f"{folder / 'meta.json'}: {message}"]
        assert {i: x.category for i, x in read.frame.labels.items()} == {1: "mug", 300: "laptop"}

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("R", None, "a rotation matrix, 3x3 finite numbers"),
            ("R", np.zeros((3, 3)).tolist(), "a rotation matrix, 3x3 finite numbers"),
            ("R", (-np.eye(3)).tolist(), "a rotation matrix, 3x3 finite numbers"),
            ("t", [0.0, 1.0], "three finite numbers, metres"),
            ("t", [0.0, 1.0, float("nan")], "three finite numbers, metres"),
            ("extents_m", [0.1, 0.1, 0.0], "three finite positive numbers, metres"),
            ("extents_m", "large", "three finite positive numbers, metres"),
            ("symmetric_about_y", "yes", "true or false"),
        ],
    )
    def test_ground_truth_serves_evaluation_alone(self, folder, key, value, expected):
        edit_meta(folder, lambda meta: meta["objects"][0].update({key: value}))
        read = read_frame(folder)
        assert read.ground_truth == []
        assert read.frame.labels[1].category == "mug"
        assert len(read.problems) == 1
        assert read.problems[0].startswith(f"{folder / 'meta.json'}: object 1: {key} is ")
        assert read.problems[0].endswith(
            f": expected {expected}; the object is kept without ground truth"
        )


class TestFrameFolders:
    def test_a_frame_is_itself(self, folder):
        assert frame_folders(folder) == [folder]

    def test_a_folder_of_frames(self, folder, frame):
        write_frame(folder.parent / "attic", frame)
        (folder.parent / "notes").mkdir()
        assert frame_folders(folder.parent) == [folder.parent / "attic", folder]

    def test_an_incomplete_frame_is_a_frame(self, folder):
        for name in ("color.png", "depth.png", "mask.png"):
            (folder / name).unlink()
        assert frame_folders(folder.parent) == [folder]

    def test_anything_else_is_handed_on(self, tmp_path):
        assert frame_folders(tmp_path) == [tmp_path]
        assert frame_folders(tmp_path / "nowhere") == [tmp_path / "nowhere"]


@pytest.mark.skipif(
    not REAL_FRAMES.is_dir(),
    reason=f"no real frames in {REAL_FRAMES}: set SDFPOSE_REAL_DATA to a folder that has them",
)
def test_real_frames():
    """Every frame is read without a problem, and every labelled object is measured."""
    categories = default_categories()
    for folder in frame_folders(REAL_FRAMES):
        read = read_frame(folder)
        assert read.problems == []
        instances, skipped = segment(read.frame, categories)
        assert skipped == []
        assert [x.mask_id for x in instances] == sorted(read.frame.labels)


class TestUnits:
    def test_the_unit_is_a_key_of_meta_json(self, folder, frame):
        depth = np.rint(frame.depth / 0.0002).astype(np.uint16)
        write_image(folder / "depth.png", depth)
        edit_meta(folder, lambda meta: meta.update(depth_unit=0.0002))
        np.testing.assert_allclose(read_frame(folder).frame.depth, frame.depth, atol=1.1e-4)
        assert read_frame(folder, depth_unit=0.0001).frame.depth.max() < 0.6 * frame.depth.max()

    @pytest.mark.parametrize("unit", ["mm (uint16, 0 = missing)", "mm", "1mm", 0.001, None])
    def test_millimetres_by_any_name(self, folder, frame, unit):
        edit_meta(folder, lambda meta: meta.update(depth_unit=unit))
        np.testing.assert_allclose(read_frame(folder).frame.depth, frame.depth, atol=0.0005 + 1e-6)

    @pytest.mark.parametrize("unit", [1000, 0, -0.001, "furlong", [0.001], True])
    def test_a_unit_that_is_none_is_an_error(self, folder, unit):
        edit_meta(folder, lambda meta: meta.update(depth_unit=unit))
        with pytest.raises(FrameError, match=r"meta\.json: depth_unit is .*: expected metres per"):
            read_frame(folder)

    def test_a_frame_in_another_unit_is_a_warning(self, folder):
        (warning,) = read_frame(folder, depth_unit=0.01).warnings
        assert warning.text.startswith(f"{folder / 'depth.png'}: ")
        assert "depth looks like units of 1 mm" in warning.text

    def test_truth_in_millimetres_is_a_warning(self, folder):
        def millimetres(meta):
            meta["objects"][0]["t"] = [1e3 * x for x in meta["objects"][0]["t"]]

        edit_meta(folder, millimetres)
        read = read_frame(folder)
        assert len(read.ground_truth) == 1
        (warning,) = read.warnings
        assert "meta.json: object 1: the true position is" in warning.text

    def test_a_category_may_stand_for_all_labels(self, folder):
        edit_meta(folder, lambda meta: meta.update(objects=[]))
        read = read_frame(folder, category="mug", depth_unit=0.01)
        assert {i: x.category for i, x in read.frame.labels.items()} == {1: "mug", 300: "mug"}
        assert len(read.warnings) == 1


@pytest.fixture
def unreadable(monkeypatch):
    """Deny access to everything in a folder, as for a user without its permissions."""

    def deny(folder):
        for name in ("is_file", "iterdir"):
            usual = getattr(Path, name)

            def denied(self, usual=usual):
                if folder in (self, *self.parents):
                    raise PermissionError(13, "Permission denied", str(self))
                return usual(self)

            monkeypatch.setattr(Path, name, denied)
        return folder

    return deny


def test_an_unreadable_folder_among_others_is_named(tmp_path, folder, frame, unreadable):
    write_frame(tmp_path / "bath", frame)
    denied = unreadable(tmp_path / "bath")
    (tmp_path / "notes").mkdir()
    assert frame_folders(tmp_path) == [denied, folder]
    problems = []
    assert [x.name for x in read_frames(tmp_path, problems)] == ["kitchen"]
    (problem,) = [x for x in problems if str(denied) in x]
    assert problem.startswith(f"{denied}: cannot be read: Permission denied: expected a folder")


def test_an_unreadable_folder_alone(tmp_path, unreadable):
    assert frame_folders(unreadable(tmp_path)) == [tmp_path]
    with pytest.raises(FrameError, match="cannot be read: Permission denied"):
        read_frame(tmp_path)


def test_a_name_that_is_too_long(tmp_path):
    path = tmp_path / (300 * "x")
    assert frame_folders(path) == [path]
    with pytest.raises(FrameError, match="cannot be read: File name too long"):
        read_frame(path)


def test_links_that_lead_nowhere_are_no_frames(tmp_path, folder):
    (tmp_path / "round").symlink_to(tmp_path / "round")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert frame_folders(tmp_path) == [folder]


def test_an_image_with_more_pixels_than_opencv_accepts(folder):
    header = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big")
    chunk = b"IHDR" + 2 * (2**20).to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    crc = zlib.crc32(chunk).to_bytes(4, "big")
    (folder / "color.png").write_bytes(header + chunk + crc)
    with pytest.raises(FrameError, match=r"color\.png: cannot be decoded"):
        read_frame(folder)


@pytest.mark.parametrize(
    "written",
    [
        lambda bgr: bgr[..., 1],
        lambda bgr: bgr.astype(np.uint16) * 257,
        lambda bgr: bgr[..., 1].astype(np.uint16) * 257,
        lambda bgr: np.dstack([bgr, np.full(bgr.shape[:2], 9, np.uint8)]),
    ],
    ids=["grey", "16-bit", "16-bit grey", "with alpha"],
)
def test_colour_of_other_cameras_is_read_as_rgb_of_eight_bits(folder, frame, written):
    pixels = written(frame.colour[..., ::-1])
    write_image(folder / "color.png", pixels)
    found = read_frame(folder).frame.colour
    assert found.dtype == np.uint8
    grey = frame.colour[..., 1:2].repeat(3, axis=2)
    np.testing.assert_array_equal(found, grey if pixels.ndim == 2 else frame.colour)


def test_a_frame_without_colour_has_its_depth_and_says_so(folder, frame):
    (folder / "color.png").unlink()
    read = read_frame(folder)
    assert not read.frame.colour.any()
    np.testing.assert_allclose(read.frame.depth, frame.depth, atol=6e-4)
    assert read.warnings[0].text == f"{folder}: has no color.png: colour is not used"
    write_image(folder / "mask.png", np.zeros((12, 16), np.uint16))
    with pytest.raises(FrameError, match=r"mask\.png: is 16x12: .* the size of depth\.png"):
        read_frame(folder)

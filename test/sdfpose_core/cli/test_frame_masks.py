"""`estimate`, `eval frames` and `replay` with masks that a source makes."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import replace

import cv2
import mask_frames
import numpy as np
import pytest
from mask_frames import BLOCKS, MiddleEstimator, block_frame, block_truth, empty_frame

from sdfpose_core.cli import estimate, eval_frames, replay
from sdfpose_core.cli.main import main
from sdfpose_core.datasets import write_frame
from sdfpose_core.datasets.bag_writing import write_frames
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.tracking.tracker import TrackerResult

KEYS = {"n", "iou50", "iou75", "missed", "merged", "split", "false_per_frame", "boundary_f"}
ANY = InstanceLabel("any", detected=True)


@pytest.fixture(autouse=True)
def estimator(monkeypatch):
    for module in (estimate, eval_frames, replay):
        monkeypatch.setattr(module, "PoseEstimator", MiddleEstimator)
    monkeypatch.setattr(mask_frames, "made", [])


@pytest.fixture
def frames(tmp_path):
    """One frame with a mask and true poses, and one without either."""
    truths = [block_truth(i) for i in BLOCKS]
    write_frame(tmp_path / "frames" / "one", block_frame(), truths)
    write_frame(tmp_path / "frames" / "two", block_frame())
    (tmp_path / "frames" / "two" / "mask.png").unlink()
    (tmp_path / "frames" / "two" / "meta.json").write_text(
        json.dumps({"K": mask_frames.CAMERA.matrix.tolist()})
    )
    return tmp_path / "frames"


def written_mask(folder):
    image = cv2.imread(str(folder / "mask.png"), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint16
    return image


class TestEstimate:
    def run(self, tmp_path, *arguments):
        """The exit status, and the document."""
        path = tmp_path / "r.json"
        out = ["--out", tmp_path / "out", "--json", path, "--masks", "tabletop"]
        status = main(["estimate", *map(str, [*arguments, *out])])
        return status, json.loads(path.read_text()) if path.exists() else None

    def test_no_mask_is_needed(self, tmp_path, frames, capsys):
        status, document = self.run(tmp_path, frames)
        assert status == 0
        assert document["problems"] == []
        for name in ("one", "two"):
            objects = document["frames"][name]
            assert [(x["mask_id"], x["category"]) for x in objects] == [(1, "mug"), (2, "laptop")]
            mask = written_mask(tmp_path / "out" / name)
            np.testing.assert_array_equal(mask > 0, block_frame().mask > 0)
            meta = json.loads((tmp_path / "out" / name / "meta.json").read_text())
            assert meta["objects"] == [
                {"mask_id": i, "category": "any", "gt": None} for i in (1, 2)
            ]
            assert (tmp_path / "out" / name / "overlay.png").is_file()
        for frame in mask_frames.made[0].frames:
            assert frame.labels == {1: ANY, 2: ANY}
        assert "4 object(s) in 2 frame(s)" in capsys.readouterr().out

    def test_poses_are_compared_with_the_truth_of_their_masks(self, tmp_path, frames):
        _, document = self.run(tmp_path, frames)
        names = [x["instance"] for x in document["frames"]["one"]]
        assert names == ["mug_anna", "laptop_anna"]
        assert all(x["trans_err_cm"] < 1e-6 for x in document["frames"]["one"])
        assert not any("trans_err_cm" in x for x in document["frames"]["two"])

    def test_masks_are_compared_with_given_ones(self, tmp_path, frames, capsys):
        _, document = self.run(tmp_path, frames)
        masks = document["masks"]
        assert masks["source"] == "tabletop"
        assert set(masks["mean"]) == KEYS
        assert (masks["mean"]["n"], masks["mean"]["iou75"]) == (2, 100.0)
        assert masks["frames"]["two"] == {"found": 2}
        assert (masks["frames"]["one"]["found"], masks["frames"]["one"]["false"]) == (2, 0)
        first, second = masks["frames"]["one"]["objects"]
        assert (first["mask_id"], first["found_id"], first["category"]) == (2, 2, "laptop")
        assert (second["mask_id"], second["found_id"], second["category"]) == (4, 1, "mug")
        assert first["best_iou"] == first["boundary_f"] == 1.0
        printed = capsys.readouterr().out
        assert "Masks of tabletop" in printed
        assert "one 4 mug" in printed
        assert "masks of tabletop: 2 objects, iou50 100.0 %" in printed

    def test_objects_that_are_merged_are_told(self, tmp_path, capsys):
        """The depth of two blocks that touch has no gap."""
        top, left = slice(40, 70), {1: slice(40, 70), 2: slice(70, 100)}
        frame = block_frame({i: (top, columns) for i, columns in left.items()})
        write_frame(tmp_path / "frames" / "touching", frame)
        _, document = self.run(tmp_path, tmp_path / "frames")
        objects = document["masks"]["frames"]["touching"]["objects"]
        assert [x["merged"] for x in objects] == [True, True]
        assert document["masks"]["mean"]["merged"] == 100.0
        assert "merged" in capsys.readouterr().out

    def test_a_category_for_every_mask(self, tmp_path, frames):
        self.run(tmp_path, frames / "one", "--category", "can")
        (frame,) = mask_frames.made[0].frames
        assert set(frame.labels.values()) == {InstanceLabel("can")}
        meta = json.loads((tmp_path / "out" / "one" / "meta.json").read_text())
        assert {x["category"] for x in meta["objects"]} == {"can"}

    @pytest.mark.parametrize("depth_m", [0.0, 3.0])
    def test_an_image_without_a_table(self, tmp_path, depth_m, capsys):
        write_frame(tmp_path / "frames" / "bare", empty_frame(depth_m))
        (tmp_path / "frames" / "bare" / "mask.png").unlink()
        status, document = self.run(tmp_path, tmp_path / "frames")
        assert status == 1
        assert document["frames"] == {"bare": []}
        assert document["masks"] == {
            "source": "tabletop", "mean": None, "frames": {"bare": {"found": 0}}
        }  # fmt: skip
        (problem,) = document["problems"]
        assert problem.startswith("bare: no table in the depth image (0% of the pixels")
        errors = capsys.readouterr().err
        assert f"sdfpose: {problem}" in errors
        assert errors.endswith("sdfpose: nothing was estimated\n")

    def test_a_frame_without_colour_has_masks_from_depth(self, tmp_path, frames):
        (frames / "two" / "color.png").unlink()
        status, document = self.run(tmp_path, frames)
        assert status == 0
        assert list(document["frames"]) == ["one", "two"]
        assert any("two: has no color.png: colour is not used" in x for x in document["problems"])

    def test_a_frame_without_depth_is_left_out(self, tmp_path, frames):
        (frames / "two" / "depth.png").unlink()
        status, document = self.run(tmp_path, frames)
        assert status == 0
        assert list(document["frames"]) == ["one"]
        (problem,) = document["problems"]
        assert "two: lacks depth.png: expected the files color.png, depth.png, meta" in problem

    def test_masks_that_cannot_be_written(self, tmp_path, frames, capsys):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "one").write_text("in the way")
        status, document = self.run(tmp_path, frames)
        assert status == 1
        assert list(document["frames"]) == ["one", "two"]
        assert "one: the masks cannot be written: " in capsys.readouterr().err

    def test_small_images(self, tmp_path):
        small = replace(empty_frame(0.8), camera=mask_frames.CAMERA.crop(0, 0, 16, 16),
                        **{x: getattr(empty_frame(0.8), x)[:16, :16]
                           for x in ("colour", "depth", "mask")})  # fmt: skip
        write_frame(tmp_path / "frames" / "small", small)
        status, document = self.run(tmp_path, tmp_path / "frames")
        assert status == 1
        assert "no table in the depth image" in document["problems"][0]


def test_given_masks_stay_the_default(tmp_path, frames, capsys):
    path, out = str(tmp_path / "r.json"), str(tmp_path / "out")
    assert main(["estimate", str(frames), "--json", path, "--out", out]) == 0
    document = json.loads((tmp_path / "r.json").read_text())
    assert set(document) == {"frames", "skipped", "folders", "out", "problems"}
    assert [x["mask_id"] for x in document["frames"]["one"]] == [2, 4]
    assert not (tmp_path / "out" / "one" / "mask.png").exists()
    assert "lacks mask.png" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["estimate --out OUT", "eval frames"])
def test_a_package_that_is_not_installed(command, tmp_path, frames, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", None)
    words = [str(tmp_path / "out") if x == "OUT" else x for x in command.split()]
    assert main([*words, str(frames), "--masks", "torchvision"]) == 2
    assert "Mask R-CNN needs torchvision" in capsys.readouterr().err
    assert not mask_frames.made  # nothing was begun


def test_an_unknown_source(frames, capsys):
    assert main(["eval", "frames", str(frames), "--masks", "magic"]) == 2
    assert "argument --masks: invalid choice: 'magic'" in capsys.readouterr().err


class TestEvalFrames:
    def run(self, tmp_path, *arguments):
        path = tmp_path / "e.json"
        options = ["--json", path, "--masks", "tabletop"]
        assert main(["eval", "frames", *map(str, [*arguments, *options])]) == 0
        return json.loads(path.read_text())

    def test_poses_and_masks_are_compared(self, tmp_path, frames, capsys):
        document = self.run(tmp_path, frames)
        assert document["errors"]["mug"]["n"] == document["errors"]["laptop"]["n"] == 1
        assert document["errors"]["mug"]["trans_err_cm_median"] < 1e-6
        assert document["average_precision"]["mean"]["iou75"] == 100.0
        assert document["masks"]["mean"]["iou75"] == 100.0
        printed = capsys.readouterr().out
        assert "laptop_anna" in printed
        assert "Masks of tabletop" in printed

    def test_masks_are_written_beside_the_results(self, tmp_path, frames):
        self.run(tmp_path, frames)
        assert written_mask(tmp_path / "e_masks" / "two").any()

    def test_masks_are_written_beside_a_report_alone(self, tmp_path, frames):
        report = str(tmp_path / "page.html")
        arguments = ["eval", "frames", str(frames), "--masks", "tabletop", "--report", report]
        assert main(arguments) == 0
        assert written_mask(tmp_path / "page_masks" / "one").any()

    def test_without_results_on_disk_no_masks_are_written(self, tmp_path, frames, monkeypatch):
        monkeypatch.chdir(tmp_path)
        before = sorted(tmp_path.iterdir())
        assert main(["eval", "frames", str(frames), "--masks", "tabletop", "--json", "-"]) == 0
        assert sorted(tmp_path.iterdir()) == before

    def test_true_poses_without_masks_are_matched_by_place(self, tmp_path, frames):
        (frames / "one" / "mask.png").unlink()
        document = self.run(tmp_path, frames / "one")
        assert document["errors"]["mug"]["trans_err_cm_median"] < 1e-6
        assert document["masks"]["mean"] is None

    def test_what_is_no_object_counts_as_wrong(self, tmp_path):
        """The mask lists the mug alone: the laptop is a false detection."""
        frame = block_frame()
        listed = np.where(frame.mask == 4, frame.mask, 0).astype(np.uint16)
        write_frame(
            tmp_path / "frames" / "one",
            replace(frame, mask=listed, labels={4: frame.labels[4]}),
            [block_truth(4)],
        )
        document = self.run(tmp_path, tmp_path / "frames")
        assert document["masks"]["frames"]["one"]["false"] == 1
        assert [x["trans_err_cm"] is None for x in document["frames"][0]["objects"]] == [
            False,
            True,
        ]

    def test_masks_alone_can_be_compared(self, tmp_path):
        write_frame(tmp_path / "frames" / "one", block_frame())
        document = self.run(tmp_path, tmp_path / "frames")
        assert document["average_precision"] is None
        assert document["masks"]["mean"]["n"] == 2

    def test_neither_masks_nor_poses(self, frames, capsys):
        assert main(["eval", "frames", str(frames / "two"), "--masks", "tabletop"]) == 2
        assert "no frame has ground truth: expected meta.json with 'gt', or mask.png" in (
            capsys.readouterr().err
        )


class NoTracks:
    """Stands in for the tracker: it keeps the frames, and finds nothing."""

    def __init__(self):
        self.frames = []

    def __call__(self, *_):
        return self

    def prepare(self):
        pass

    def close(self):
        pass

    def followed(self, frame):
        return []

    def step(self, frame):
        self.frames.append(frame)
        return TrackerResult([], [], [], [], {"total": 1.0})


class TestReplay:
    @pytest.fixture
    def tracker(self, monkeypatch):
        fake = NoTracks()
        monkeypatch.setattr(replay, "Tracker", fake)
        monkeypatch.setattr(replay, "set_threads", lambda _: nullcontext())
        return fake

    @pytest.fixture
    def frames(self):
        return [replace(block_frame(), stamp_ns=(1 + i) * 10**8) for i in range(3)]

    def run(self, tmp_path, bag, *arguments):
        path = tmp_path / "r.json"
        words = ["replay", bag, "--json", path, "--masks", "tabletop", *arguments]
        status = main([str(x) for x in words])
        return status, json.loads(path.read_text()) if path.exists() else None

    def test_a_camera_and_nothing_else(self, bags, tracker, frames, tmp_path):
        bag = bags.write(tmp_path / "bag", frames, without=["/camera/mask", "/camera/labels"])
        status, document = self.run(tmp_path, bag)
        assert status == 1  # nothing is tracked
        assert document["processed"] == 3
        assert document["masks"]["mean"] is None
        assert {x["found"] for x in document["masks"]["frames"].values()} == {2}
        assert document["stage_ms"]["masks"]["mean"] > 0.0
        for frame in tracker.frames:
            assert frame.labels == {1: ANY, 2: ANY}
            np.testing.assert_array_equal(frame.mask, tracker.frames[0].mask)
        np.testing.assert_array_equal(
            written_mask(tmp_path / "r_masks" / "000002"), tracker.frames[2].mask
        )

    def test_masks_of_the_bag_are_compared(self, tracker, frames, tmp_path, capsys):
        write_frames(tmp_path / "bag", [(x, []) for x in frames])
        _, document = self.run(tmp_path, tmp_path / "bag")
        assert document["problems"] == []
        assert (document["masks"]["mean"]["n"], document["masks"]["mean"]["iou75"]) == (6, 100.0)
        assert document["masks"]["frames"]["000001"]["objects"][0]["category"] is None
        assert all(x.labels == {1: ANY, 2: ANY} for x in tracker.frames)
        assert "6 objects, iou50 100.0 %" in capsys.readouterr().out

    def test_recorded_masks_that_cannot_be_used_are_counted(self, bags, tracker, frames, tmp_path):
        messages = [bags.messages_of(x) for x in frames]
        head = messages[0]["/camera/mask"].header
        messages[0]["/camera/mask"] = bags.image(np.zeros((3, 4), np.uint16), "16UC1", head)
        head = messages[1]["/camera/mask"].header
        messages[1]["/camera/mask"] = bags.image(np.zeros((3, 4), np.float32), "32FC1", head)
        bag = bags.write(tmp_path / "bag", messages)
        _, document = self.run(tmp_path, bag)
        assert (document["processed"], document["masks"]["mean"]["n"]) == (3, 2)
        assert "2 frames: /camera/mask: mask with encoding '32FC1'" in document["problems"][0]

    def test_images_without_a_table_are_counted(self, bags, tracker, tmp_path):
        frames = [replace(empty_frame(0.0), stamp_ns=(1 + i) * 10**8) for i in range(2)]
        bag = bags.write(tmp_path / "bag", frames, without=["/camera/mask", "/camera/labels"])
        _, document = self.run(tmp_path, bag)
        (problem,) = document["problems"]
        assert "2 frames: no table in the depth image" in problem

    def test_ids_of_recorded_masks_are_refused(self, tmp_path, capsys):
        status, _ = self.run(tmp_path, tmp_path / "bag", "--mask-categories", "1:mug")
        assert status == 2
        assert "--mask-categories has no effect with --masks" in capsys.readouterr().err

    def test_a_category_for_every_mask(self, bags, tracker, frames, tmp_path):
        bag = bags.write(tmp_path / "bag", frames, without=["/camera/mask", "/camera/labels"])
        self.run(tmp_path, bag, "--category", "bowl")
        assert set(tracker.frames[0].labels.values()) == {InstanceLabel("bowl")}

import json
from types import SimpleNamespace
from typing import ClassVar

import cv2
import numpy as np
import pytest
import trimesh
from own_pack import own_pack

from sdfpose_core.cli import estimate as command
from sdfpose_core.cli.main import main
from sdfpose_core.datasets import write_frame
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, ObjectEstimate, RgbdFrame
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.observation.unused_cues import unused_cues

UPRIGHT = np.diag([1.0, -1.0, -1.0])


class BoxEstimator:
    """Stands in for the estimator: an upright box round the measured points."""

    made_with: ClassVar[list] = []
    uses_colour: ClassVar[bool] = False

    def __init__(self, config, packs):
        self.made_with.append((config, packs))
        self._categories = packs.categories

    def run(self, frame):
        instances, skipped = segment(frame, self._categories)
        return SimpleNamespace(
            estimates=[self._box(x) for x in instances],
            skipped=skipped,
            warnings=unused_cues(frame, instances, colour=self.uses_colour),
        )

    def _box(self, instance):
        low, high = instance.points.min(axis=0), instance.points.max(axis=0)
        dimensions = (high - low + 0.01).astype(np.float64)
        centre = (0.5 * (low + high)).astype(np.float64)
        mesh = trimesh.creation.box(dimensions)
        return ObjectEstimate(
            mask_id=instance.mask_id,
            category=instance.category,
            rotation=UPRIGHT,
            translation=centre,
            scale=float(np.linalg.norm(dimensions)),
            dimensions_m=dimensions,
            confidence=0.5,
            covariance=np.eye(6),
            symmetric_about_y=False,
            code=np.zeros(4, np.float32),
            decoder_translation=centre,
            decoder_scale=1.0,
            vertices=np.asarray(mesh.vertices, np.float32),
            faces=np.asarray(mesh.faces, np.int32),
            normals=np.asarray(mesh.vertex_normals, np.float32),
        )


@pytest.fixture(autouse=True)
def estimator(monkeypatch):
    monkeypatch.setattr(command, "PoseEstimator", BoxEstimator)
    monkeypatch.setattr(BoxEstimator, "made_with", [])


@pytest.fixture
def frames(tmp_path):
    """Two frames with a mug, with ground truth, and a thing of no known category."""
    mask = np.zeros((120, 160), np.uint16)
    mask[40:80, 60:100] = 1
    mask[90:110, 10:30] = 2
    frame = RgbdFrame(
        colour=np.full((120, 160, 3), 90, np.uint8),
        depth=np.where(mask > 0, 0.8, 1.5).astype(np.float32),
        mask=mask,
        camera=PinholeCamera(160, 120, 300.0, 300.0, 79.5, 59.5),
        labels={1: InstanceLabel("mug"), 2: InstanceLabel("teapot")},
    )
    side = 39 / 300 * 0.8 + 0.01
    truth = GroundTruth(
        mask_id=1,
        category="mug",
        instance="mug_anna",
        rotation=UPRIGHT,
        translation=np.array([0.0, 0.0, 0.85]),
        dimensions_m=np.array([side, side, 0.01]),
        symmetric_about_y=False,
    )
    write_frame(tmp_path / "frames" / "one", frame, [truth])
    write_frame(tmp_path / "frames" / "two", frame)
    return tmp_path / "frames"


def run(tmp_path, *arguments):
    return main(["estimate", "--out", str(tmp_path / "out"), *map(str, arguments)])


def test_table_pictures_meshes_and_json(tmp_path, frames, capsys):
    path = tmp_path / "results" / "out.json"
    assert run(tmp_path, frames / "one", frames / "two", "--json", path) == 0

    content = json.loads(path.read_text())
    assert list(content) == ["frames", "skipped", "folders", "out", "problems"]
    assert list(content["frames"]) == ["one", "two"]
    (entry,) = content["frames"]["one"]
    assert list(entry) == [
        "mask_id",
        "category",
        "instance",
        "R",
        "t",
        "scale",
        "dimensions_m",
        "confidence",
        "symmetric_about_y",
        "symmetries",
        "covariance",
        "probability",
        "alternatives",
        "diagnostics",
        "time_ms",
        "rot_err_deg",
        "trans_err_cm",
        "iou3d_oriented",
    ]
    assert (entry["mask_id"], entry["category"], entry["instance"]) == (1, "mug", "mug_anna")
    assert np.shape(entry["R"]) == (3, 3)
    assert np.shape(entry["t"]) == np.shape(entry["dimensions_m"]) == (3,)
    assert entry["rot_err_deg"] == pytest.approx(0.0, abs=1e-6)
    assert entry["trans_err_cm"] == pytest.approx(5.0, abs=1e-3)
    assert entry["iou3d_oriented"] == 0.0
    assert entry["time_ms"] > 0.0
    (skipped,) = content["skipped"]["one"]
    assert (skipped["mask_id"], skipped["category"]) == (2, "teapot")
    assert skipped["reason"].startswith("mask id 2 has the unknown label 'teapot'")
    (entry,) = content["frames"]["two"]
    assert entry["instance"] == "mug_1"
    assert not {"rot_err_deg", "trans_err_cm", "iou3d_oriented"} & set(entry)

    overlay = cv2.imread(str(tmp_path / "out" / "one" / "overlay.png"))
    assert overlay.shape == (120, 160, 3)
    assert np.any(overlay != 90)
    mesh = trimesh.load(tmp_path / "out" / "two" / "mug_1.ply")
    np.testing.assert_allclose(mesh.extents, entry["dimensions_m"], atol=1e-6)

    captured = capsys.readouterr()
    assert "mug_anna" in captured.out
    assert "5.00" in captured.out
    # A heading may be folded.
    assert "".join(captured.out.split()).count("ms,1withoutanestimate") == 2
    assert "2 object(s) in 2 frame(s)" in captured.out
    assert captured.err.count("mask id 2 has the unknown label 'teapot'") == 2


def test_a_folder_of_frames(tmp_path, frames, capsys):
    assert run(tmp_path, frames) == 0
    assert "2 object(s) in 2 frame(s)" in capsys.readouterr().out


def test_bad_frames_are_reported_and_left_out(tmp_path, frames, capsys):
    (frames / "two" / "depth.png").unlink()
    meta = json.loads((frames / "one" / "meta.json").read_text())
    meta["objects"].append({"mask_id": 9, "category": "can"})
    (frames / "one" / "meta.json").write_text(json.dumps(meta))
    path = tmp_path / "out.json"
    assert run(tmp_path, frames / "one", frames / "two", frames / "three", "--json", path) == 0
    assert list(json.loads(path.read_text())["frames"]) == ["one"]
    errors = capsys.readouterr().err
    assert f"sdfpose: {frames / 'two'}: lacks depth.png: expected the files" in errors
    assert f"sdfpose: {frames / 'three'}: no such folder: expected one with" in errors
    assert "object 9 (can) has no pixel in mask.png" in errors
    assert errors.count("frame skipped") == 2


def test_colour_that_is_blank_or_missing_is_told_and_depth_is_used(
    tmp_path, frames, capsys, monkeypatch
):
    monkeypatch.setattr(BoxEstimator, "uses_colour", True)
    (frames / "two" / "color.png").unlink()
    path = tmp_path / "out.json"
    assert run(tmp_path, frames, "--json", path) == 0
    content = json.loads(path.read_text())
    assert [len(x) for x in content["frames"].values()] == [1, 1]
    told = [x for x in content["problems"] if "colour" in x]
    assert told[0] == f"input: 1 frame: {frames / 'two'}: has no color.png: colour is not used"
    assert told[1].startswith("unused: 2 frames: the colour image has no contrast around mask id 1")
    err = capsys.readouterr().err
    assert all(f"sdfpose: {x}" in err for x in told)


def test_nothing_estimated_is_a_failure(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    path = tmp_path / "out.json"
    assert run(tmp_path, tmp_path / "empty", "--json", path) == 1
    content = json.loads(path.read_text())
    assert content["frames"] == {}
    assert "lacks color.png" in content["problems"][0]
    captured = capsys.readouterr()
    assert "lacks color.png, depth.png, mask.png, meta.json" in captured.err
    assert captured.err.endswith("sdfpose: nothing was estimated\n")
    assert captured.out == ""


def test_a_category_for_every_mask(tmp_path, frames, capsys):
    path = tmp_path / "out.json"
    assert run(tmp_path, frames / "one", "--category", "can", "--json", path) == 0
    entries = json.loads(path.read_text())["frames"]["one"]
    assert [(x["mask_id"], x["category"]) for x in entries] == [(1, "can"), (2, "can")]
    assert capsys.readouterr().err == ""


def test_an_unknown_category(tmp_path, frames, capsys):
    assert run(tmp_path, frames, "--category", "mugg") == 2
    assert capsys.readouterr().err == (
        "sdfpose: error: unknown category 'mugg' (did you mean 'mug'?): expected one of bottle, "
        "bowl, camera, can, laptop, mug\n"
    )


def test_two_frames_of_one_name(tmp_path, frames, capsys):
    (frames / "one").rename(tmp_path / "two")
    assert run(tmp_path, frames / "two", tmp_path / "two") == 0
    captured = capsys.readouterr()
    assert (
        f"sdfpose: {tmp_path / 'two'}: {frames / 'two'} has the same name two: expected unique "
        "frame names; frame skipped\n"
    ) in captured.err
    assert "1 object(s) in 1 frame(s)" in captured.out


def test_options_reach_the_estimator(tmp_path, frames):
    pack = own_pack(tmp_path)
    options = ["--encoder", "none", "--refine", "icp", "--device", "cpu", "--weights", pack]
    options += ["--upright", "sure", "--category-trust", "0.5", "--colour", "none"]
    run(tmp_path, frames / "one", *options)
    ((config, packs),) = BoxEstimator.made_with
    assert (config.upright, config.category_trust, config.colour) == ("sure", 0.5, "none")
    assert (config.encoder, config.refine, config.device) == ("none", "icp", "cpu")
    assert packs["kettle"].folder == pack


def test_names_are_no_markup(tmp_path, frames, capsys):
    (frames / "one").rename(frames / "[red]one")
    assert run(tmp_path, frames / "[red]one") == 0
    assert "[red]one" in capsys.readouterr().out


def test_an_output_that_cannot_be_written(tmp_path, frames, capsys):
    (tmp_path / "out").write_text("in the way")
    assert run(tmp_path, frames / "one") == 2
    assert f"--out {tmp_path / 'out'}: cannot be written: " in capsys.readouterr().err


def test_the_sample_frame_needs_no_folder(tmp_path, capsys):
    path = tmp_path / "out.json"
    assert run(tmp_path, "--sample", "--json", path) == 0
    (entries,) = json.loads(path.read_text())["frames"].values()
    assert len(entries) == 6
    assert all("rot_err_deg" in x for x in entries)
    assert (tmp_path / "out" / "tabletop" / "overlay.png").is_file()
    assert "6 object(s) in 1 frame(s)" in capsys.readouterr().out


def test_neither_frames_nor_the_sample(tmp_path, capsys):
    assert run(tmp_path) == 2
    assert "no frame was named: expected FRAME_DIR... or --sample" in capsys.readouterr().err


def test_the_unit_of_depth_is_checked_and_can_be_given(tmp_path, frames, capsys):
    path = tmp_path / "out.json"
    for name in ("one", "two"):
        file = str(frames / name / "depth.png")
        cv2.imwrite(file, 10 * cv2.imread(file, cv2.IMREAD_UNCHANGED))
    assert run(tmp_path, frames, "--json", path) == 0
    (told,) = (x for x in json.loads(path.read_text())["problems"] if "depth.png" in x)
    assert "2 frames" in told
    assert "depth looks like units of 0.1 mm" in told
    assert f"sdfpose: {told}" in capsys.readouterr().err
    assert run(tmp_path, frames, "--json", path, "--depth-unit", "0.1mm") == 0
    assert "depth looks" not in capsys.readouterr().err
    (entry,) = json.loads(path.read_text())["frames"]["one"]
    assert entry["t"][2] == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("columns", [80, 100])
def test_the_table_fits_the_terminal(columns, tmp_path, frames, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    (frames / "one").rename(frames / "0001_küche")
    assert run(tmp_path, frames) == 0
    text = capsys.readouterr().out
    table = text[: text.index("2 object(s)")]
    assert max(map(len, table.splitlines())) <= columns
    assert "…" not in table
    for words in ("0001_küche: ", "\n  1 mug mug_anna ", "\ntwo: ", "\n  1 mug  "):
        assert words in table


def test_results_are_written_before_they_are_printed(tmp_path, frames, monkeypatch):
    def fail(*_):
        raise RuntimeError("cannot be printed")

    monkeypatch.setattr(command, "_print", fail)
    path = tmp_path / "r.json"
    with pytest.raises(RuntimeError):
        run(tmp_path, frames, "--json", path)
    assert list(json.loads(path.read_text())["frames"]) == ["one", "two"]


def test_the_document_on_standard_output(tmp_path, frames, capsys):
    assert run(tmp_path, frames, "--json", "-") == 0
    captured = capsys.readouterr()
    assert list(json.loads(captured.out)["frames"]) == ["one", "two"]
    assert "mug_anna" in captured.err


def test_threads(tmp_path, frames, monkeypatch):
    given = []
    monkeypatch.setattr(command, "set_threads", given.append)
    assert run(tmp_path, frames / "one", "--threads", "3") == 0
    assert run(tmp_path, frames / "one") == 0
    assert given == [3]

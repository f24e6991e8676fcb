"""What is wrong is reported before the work begins; one item does not take the others with it."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from sdfpose_core.benchmark.pose_figures import MEASURES
from sdfpose_core.cli import bench_adaptation, bench_pose, bench_shapes
from sdfpose_core.cli import estimate as estimate_command
from sdfpose_core.cli.main import main
from sdfpose_core.samples import sample_frame

SIX = ["bottle", "bowl", "camera", "can", "laptop", "mug"]
TRAINING = Path(__file__).parents[3] / "training"
SAMPLE = str(sample_frame())


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """No command may read weights: everything here is wrong before that."""

    def load(*_, **__):
        raise AssertionError("the work began")

    for name in ("category_model.load_decoder", "category_model.CategoryModel.load"):
        monkeypatch.setattr(f"sdfpose_core.estimation.{name}", load)


@pytest.fixture
def paths(tmp_path):
    """Paths by name: a file, a folder below it, and one that does not exist."""
    (tmp_path / "file").touch()
    return {
        "DIR": str(tmp_path),
        "FILE": str(tmp_path / "file"),
        "BELOW.png": str(tmp_path / "file" / "x.png"),
        "BELOW": str(tmp_path / "file" / "new"),
        "NOWHERE": str(tmp_path / "nowhere"),
        "NEW": str(tmp_path / "new"),
        "EMPTY": "",
    }


COMMANDS = [
    f"estimate {SAMPLE} --out NEW --json BELOW",
    f"estimate {SAMPLE} --out NEW --json DIR",
    f"estimate {SAMPLE} --out BELOW",
    f"estimate {SAMPLE} --out NEW --weights NOWHERE",
    f"estimate {SAMPLE} --out NEW --threads -1",
    f"eval frames {SAMPLE} --json BELOW",
    f"eval frames {SAMPLE} --report BELOW",
    f"eval frames {SAMPLE} --weights FILE",
    "eval real275 DIR --json BELOW",
    "eval real275 DIR --report DIR",
    "eval real275 DIR --results BELOW",
    "eval camera25 NOWHERE",
    "eval nocs DIR NOWHERE",
    "eval nocs DIR --json BELOW",
    "estimate EMPTY --out NEW",
    f"estimate {SAMPLE} --out -",
    "replay NEW --report -",
    "replay NEW --out -",
    f"estimate {SAMPLE} --out EMPTY",
    "eval frames EMPTY",
    "replay EMPTY",
    "bag info EMPTY",
    "bag from-frames EMPTY --out NEW",
    f"bag info {SAMPLE}",
    f"replay {SAMPLE}",
    "replay NEW --json BELOW",
    "replay NEW --report DIR",
    "replay NEW --out DIR",
    "replay NEW --out BELOW",
    "replay NEW --slop nan",
    "replay NEW --queue-size 0",
    "replay NEW --busy-ms 0",
    "adapt DIR --category mug --out BELOW",
    "adapt DIR --category mug --out NEW --report BELOW",
    "adapt DIR --category mug --out NEW --weights NOWHERE",
    "adapt DIR --category mug --out NEW --every 0",
    f"bag from-frames {SAMPLE} --out BELOW",
    f"bag from-frames {SAMPLE} --out DIR",
    f"bag from-frames {SAMPLE} --out NEW --hz nan",
    "bench pose --suite synthetic --json BELOW",
    "bench pose --suite meshes --data NOWHERE",
    "bench pose --suite real --data FILE",
    "bench pose --suite synthetic --weights DIR",
    "bench shapes --json BELOW",
    "bench shapes --data NOWHERE",
    "bench adaptation --data NOWHERE",
    "bench adaptation --data DIR --json BELOW",
    "export BELOW",
    "export NEW --weights NOWHERE",
    "import-ssc6d mug --pose FILE --out BELOW",
    "shapes render --out BELOW.png",
    "shapes render --out NEW.png --models NOWHERE",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command, paths, tmp_path, capsys):
    assert main([paths.get(x, x) for x in command.split()]) == 2
    message = capsys.readouterr().err
    assert "error: " in message
    assert "Traceback" not in message
    assert sorted(x.name for x in tmp_path.iterdir()) == ["file"]  # nothing was begun


SCRIPTS = [
    "calibrate_confidence --weights NOWHERE",
    "calibrate_confidence --weights DIR",
    "calibrate_confidence --weights DIR --views 0",
    "prepare_nocs NOWHERE --out NEW",
    "prepare_nocs DIR --out BELOW",
    "prepare_nocs DIR --out NEW --weights DIR",
    "prepare_nocs DIR --out NEW --detections NOWHERE",
    "prepare_nocs DIR --out NEW --workers 0",
    "pretrain mug --weights BELOW --work NEW",
    "pretrain mug --weights NEW --work BELOW",
    "pretrain mug --weights NEW --work NEW --data NOWHERE",
    "pretrain mug --weights NEW --work NEW --threads -1",
    "repeat_runs --data NOWHERE --images DIR --work NEW",
    "repeat_runs --data DIR --train . --images NOWHERE --work NEW",
    "repeat_runs --data DIR --train . --images DIR --work BELOW",
    "repeat_runs --data DIR --train . --images DIR --work NEW --json BELOW",
    "repeat_runs --data DIR --images DIR --work NEW --runs 0",
    "self_supervise mug --data NOWHERE --out NEW --work NEW",
    "self_supervise mug --data DIR --out BELOW --work NEW",
    "self_supervise mug --data DIR --out NEW --work BELOW",
    "self_supervise mug --data DIR --part none --out NEW --work NEW",
    "train_decoder mug --out BELOW --work NEW",
    "train_decoder mug --out NEW --work BELOW",
    "train_decoder mug --out NEW --work NEW --meshes NOWHERE",
    "train_decoder mug --out NEW --work NEW --unit-m 0",
]


@pytest.mark.parametrize("command", SCRIPTS)
def test_training_scripts(command, paths, tmp_path, monkeypatch, capsys):
    name, *arguments = command.split()
    script = TRAINING / f"{name}.py"
    monkeypatch.setattr(sys, "argv", [str(script), *(paths.get(x, x) for x in arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err
    assert sorted(x.name for x in tmp_path.iterdir()) == ["file"]


class NoEstimator:
    """Stands in for the estimator: nothing is found."""

    def __init__(self, *_):
        pass

    def run(self, _):
        return type("Result", (), {"estimates": [], "skipped": [], "warnings": []})


def test_one_frame_that_cannot_be_written_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(estimate_command, "PoseEstimator", NoEstimator)
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(SAMPLE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one").write_text("in the way")
    report = tmp_path / "r.json"
    frames = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert main(["estimate", *frames, "--out", str(tmp_path / "out"), "--json", str(report)]) == 1
    assert list(json.loads(report.read_text())["frames"]) == ["one", "two"]
    assert (tmp_path / "out" / "two" / "overlay.png").is_file()
    assert "overlay.png: cannot be written: " in capsys.readouterr().err


FIGURES = {"n": 1800} | dict.fromkeys(MEASURES, 100.0)
FIGURES |= {"rot_median_deg": 123.45, "trans_median_cm": 10.12, "chamfer_median_mm": 123.45}
FIGURES |= {"wrong_mode": 100.0, "wrong_confident": 100.0, "right_rank": 12.34}
FIGURES |= {"chosen_deg10_cm5": 100.0, "oracle_deg10_cm5": 100.0}
SHAPES = {"n": 24, "chamfer_median": 0.0123, "chamfer_mean": 0.1234, "chamfer_view_median": 0.1}
SHAPES |= {"fscore": 0.999, "normal_consistency": 0.999, "volume_iou": 0.987}


def pose_table():
    mean = FIGURES | {"ece": 0.1, "auroc": 0.9}
    document = {"suite": "synthetic", "per_category": dict.fromkeys(SIX, FIGURES), "mean": mean}
    document |= {
        "time_ms": {"total": 400.0},
        "by_visibility": {},
        "by_distance_m": {},
        "by_view": {},
    }
    document |= {"category_right": 100.0, "confusion": {x: dict.fromkeys(SIX, 300) for x in SIX}}
    bench_pose._print(document)


def shapes_table():
    entry = {"procedural": SHAPES, "meshes": SHAPES, "grad_norm_err": 0.123, "weights_mib": 1.2}
    times = dict.fromkeys(("fast_64", "fast_128", "dense_64", "paper_dense_64"), 999.0)
    document = {"per_category": dict.fromkeys(SIX, entry), "mean": entry, "mesh_ms": times}
    bench_shapes._print(document)


def adaptation_table():
    row = {"mean": FIGURES, "spread": dict.fromkeys(MEASURES, 12.3)}
    rows = dict.fromkeys(("before", "after_paper", "after", "supervised"), row)
    nothing = {"gap_closed": {}, "change": {}, "left_out": []}
    bench_adaptation._print({**rows, "refined": rows, **nothing})


@pytest.mark.parametrize("table", [pose_table, shapes_table, adaptation_table])
def test_benchmarks_fit_80_columns(table, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    table()
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    names = SIX if table is not adaptation_table else ["before", "certified", "supervised"]
    for name in names:
        assert re.search(rf"^{name}\b", text, re.MULTILINE)

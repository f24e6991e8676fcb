"""The command `sdfpose bench pose --suite sequence`."""

import json

import pytest

from sdfpose_core.benchmark import sequences
from sdfpose_core.benchmark.pose_figures import MEASURES
from sdfpose_core.cli.main import main

FIGURES = {"n", *MEASURES, "rot_median_deg", "trans_median_cm", "chamfer_median_mm"}
FIGURES |= {"wrong_mode", "wrong_confident", "chosen_deg10_cm5", "oracle_deg10_cm5", "right_rank"}
COMMAND = ["bench", "pose", "--suite", "sequence", "--threads", "1"]


def test_sequence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sequences, "DURATION_S", 0.6)
    out = tmp_path / "sequence.json"
    assert main([*COMMAND, "--category", "can", "--count", "1", "--json", str(out)]) == 0
    document = json.loads(out.read_text())
    assert document["suite"] == "sequence"
    assert (document["sequences"], document["frames"]) == (1, 9)
    assert set(document["per_category"]) == {"can"}
    can = document["per_category"]["can"]
    assert set(can) == FIGURES
    assert set(document["mean"]) == FIGURES | {"ece", "auroc"}
    assert document["n"] == can["n"] == document["mean"]["n"]
    assert 9 < can["n"] <= 27  # three cans, of which some may be hidden
    assert can["trans_median_cm"] < 3.0
    assert can["chamfer_median_mm"] < 10.0
    assert document["id_switches"] == document["gaps"] == document["recoveries"] == 0
    assert document["drift_deg"] is None  # too short
    assert document["tracks"] == can["n"] / 9
    assert document["flips_per_track"] == 0.0
    assert document["first_mode_wrong"] == document["wrong_category"] == 0.0
    assert document["first_mode_mended"] is None  # nothing is wrong
    assert set(document["detection"]) == FIGURES | {"ece", "auroc"}
    assert document["tracking_there"]["n"] == document["detection"]["n"] <= 3
    assert document["time_ms"]["total"] > 0.0
    output = capsys.readouterr().out
    assert "tracking: 0 id switches" in output
    assert f"flips per track of {document['tracks']}; first mode wrong 0.0 %" in output
    assert "detected from scratch" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--count", "0"], "argument --count: '0'"), (["--seed", "-1"], "argument --seed: '-1'")],
)
def test_bad_arguments(arguments, message, capsys):
    assert main([*COMMAND, *arguments]) == 2
    assert message in capsys.readouterr().err

"""What the benchmark of adaptation makes of its outcomes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trimesh

from sdfpose_core.benchmark.adaptation import (
    ROWS,
    AdaptationRun,
    split_models,
    summarise_adaptation,
)
from sdfpose_core.benchmark.outcomes import PoseOutcome
from sdfpose_core.cli.main import main


def outcome(right: bool) -> PoseOutcome:
    truth: Any = SimpleNamespace(translation=np.array([0.0, 0.0, 1.0]))
    reported: Any = SimpleNamespace(confidence=0.9)
    degrees, nan = 1.0 if right else 90.0, float("nan")
    return PoseOutcome("", truth, nan, reported, degrees, 1.0, 0.8, nan, {"total": 1.0})


def run(category: str, seed: int, **shares: int) -> AdaptationRun:
    """Of 100 cases so many are right, by row; the same ones first."""
    alone = {row: [outcome(i < shares[row]) for i in range(100)] for row in ROWS}
    refined = {row: some[:10] for row, some in alone.items()}
    return AdaptationRun(category, seed, alone, refined, dict.fromkeys(ROWS, 7))


def test_the_share_of_the_gap_is_that_of_the_means() -> None:
    runs = [
        run(category, seed, before=40, after_paper=45, after=60 + seed, supervised=80)
        for category in ("mug", "can")
        for seed in (0, 1)
    ]
    found = summarise_adaptation(runs, ["camera"])
    assert found["left_out"] == ["camera"]
    assert found["seeds"] == 2
    assert found["steps"] == dict.fromkeys(ROWS, 7)
    assert found["before"]["per_category"]["mug"]["n"] == 200
    assert found["after"]["spread"]["deg10_cm5"] > 0.0
    gap = found["gap_closed"]["deg10_cm5"]
    before, after, supervised = (
        found[row]["mean"]["deg10_cm5"] for row in ("before", "after", "supervised")
    )
    assert gap["after"] == pytest.approx((after - before) / (supervised - before))
    assert gap["after"] > gap["after_paper"] > 0.0
    assert gap["judged"]
    assert found["worse"] == []
    low, high = found["change"]["mug"]
    assert low < 20.5 < high
    assert found["refined"]["before"]["per_category"]["can"]["n"] == 20


def test_a_category_that_loses_is_named() -> None:
    runs = [
        run("mug", 0, before=60, after_paper=60, after=45, supervised=62),
        run("can", 0, before=60, after_paper=60, after=61, supervised=63),
    ]
    found = summarise_adaptation(runs, [])
    assert found["worse"] == ["mug"]
    assert not found["gap_closed"]["deg10_cm5"]["judged"]


def test_where_labels_gain_nothing_no_share_is_told() -> None:
    found = summarise_adaptation(
        [run("mug", 0, before=60, after_paper=50, after=60, supervised=60)], []
    )
    assert found["gap_closed"]["deg5_cm2"]["after"] is None


def test_objects_to_learn_from_are_others_than_those_to_measure_on(tmp_path: Path) -> None:
    files = []
    for name in ("a", "b", "c"):
        files.append(tmp_path / f"{name}.obj")
        trimesh.creation.cylinder(0.03, 0.1).export(files[-1])
    (tmp_path / "d.obj").write_text("rubbish")
    problems: list[str] = []
    learnt, measured = split_models([*files, tmp_path / "d.obj"], "can", problems)
    assert [x.name for x in learnt] == ["a", "c"]
    assert [x.name for x in measured] == ["b"]
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--data", "DIR"], "no category has 2 meshes"),
        (["--data", "DIR", "--seeds", "0"], "argument --seeds: '0'"),
        (["--data", "PAIR", "--start", "DIR"], "no encoder of can"),
    ],
)
def test_bad_input_is_named(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {"DIR": tmp_path / "single", "PAIR": tmp_path / "pair"}
    for folder, names in zip(folders.values(), (["one"], ["one", "two"]), strict=True):
        (folder / "can").mkdir(parents=True)
        for name in names:
            trimesh.creation.cylinder(0.03, 0.1).export(folder / "can" / f"{name}.obj")
    arguments = [str(folders.get(x, x)) for x in arguments]
    assert main(["bench", "adaptation", *arguments]) == 2
    assert message in capsys.readouterr().err

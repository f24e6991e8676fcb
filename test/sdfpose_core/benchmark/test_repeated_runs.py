"""The mean over seeds and categories, and its spread."""

from __future__ import annotations

from typing import Any

import pytest

from sdfpose_core.benchmark.repeated_runs import figures_table, repeated_figures

MEASURES = ("iou25", "iou50", "iou75", "deg5_cm2", "deg5_cm5", "deg10_cm2", "deg10_cm5")


def document(can: float, mug: float | None, truth: str = "gts") -> dict[str, Any]:
    def row(n: int, value: float | None) -> dict[str, float | None]:
        return {"n": n, **dict.fromkeys(MEASURES, value)}

    mean = can if mug is None else (can + mug) / 2.0
    return {
        "truth": truth,
        "images": 5,
        "iou": "repaired",
        "misses": "ignore",
        "scores": "detector",
        "detections": {"folder": "masks"},
        "problems": ["one"],
        "per_category": {"can": row(3, can), "mug": row(4, mug)},
        "mean": row(7, mean),
    }


def test_the_mean_is_that_of_all_networks() -> None:
    found = repeated_figures([document(10.0, 50.0), document(30.0, 70.0)])
    assert found["runs"] == 2
    assert found["mean"]["iou50"] == pytest.approx((10.0 + 50.0 + 30.0 + 70.0) / 4.0)
    assert found["spread"]["iou50"] == pytest.approx(10.0)
    assert found["category_spread"]["mug"]["deg5_cm2"] == pytest.approx(10.0)
    assert (found["truth"], found["iou"], found["problems"]) == ("gts", "repaired", ["one"])
    lines = figures_table(found).splitlines()
    assert lines[0].startswith("| | objects | IoU25 |")
    assert lines[2].startswith("| can | 3 | 20.0 ± 10.0 |")
    assert lines[4].startswith("| mean | 7 | 40.0 ± 10.0 |")


def test_what_is_unknown_or_differs_is_said() -> None:
    found = repeated_figures([document(10.0, None), document(30.0, None, "label")])
    assert found["truth"] == "mixed"
    assert figures_table(found).splitlines()[3].startswith("| mug | 4 | - | - |")

from __future__ import annotations

from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from simple_estimates import make_alternative

from sdfpose_core.categories import default_categories
from sdfpose_core.evaluation.frame_evaluation import FrameEvaluation, ReportedObject, evaluate_frame
from sdfpose_core.observation.frame import GroundTruth
from sdfpose_core.visualisation.pictures import ErrorImage, caption, worst_objects
from sdfpose_core.visualisation.plots import ErrorAxes, error_histograms, stage_times
from sdfpose_core.visualisation.report import report_page

CATEGORIES = default_categories()
SIDES = np.array([0.1, 0.2, 0.1])


def frame(number: int, shift: float, *categories: str) -> FrameEvaluation:
    """An object of each category, found that far from where it is."""
    truths, reported = [], []
    for i, category in enumerate(categories):
        place = np.array([0.3 * i, 0.0, 1.0])
        truths.append(GroundTruth(i, category, category, np.eye(3), place, SIDES, False))
        found = place + np.array([shift, 0.0, 0.0])
        reported.append(ReportedObject(10 + i, category, np.eye(3), found, SIDES, 0.8))
    return FrameEvaluation(
        f"f{number}",
        number,
        evaluate_frame(reported, truths),
        tuple(truths),
        {"encode": 2.0 + number},
    )


class Elements(HTMLParser):
    """Counts elements, and collects what they refer to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}
        self.references: list[str] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href"):
                self.references.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in ("meta", "img", "br"):
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@dataclass(frozen=True)
class Configuration:
    weights: Path = Path("some/where")
    turns: tuple[int, ...] = (1, 2)


def make_page(frames, **changes) -> str:
    arguments = {
        "facts": {"frames": "12 <of> 12"},
        "problems": ["a & b left out"],
        "pictures": [ErrorImage("f1: mug", np.full((8, 8, 3), 90, np.uint8))],
        "configuration": Configuration(),
    }
    return report_page("A report", frames, CATEGORIES, **(arguments | changes))


def test_a_page_is_well_formed_and_needs_nothing_else():
    page = make_page([frame(i, 0.01, "mug", "can") for i in range(12)])
    elements = Elements(page)
    assert elements.open == []
    assert elements.count["svg"] == 4
    assert elements.count["img"] == 1
    for reference in elements.references:
        assert reference.startswith(("data:image/jpeg;base64,", "#"))
    assert "script" not in elements.count
    assert "link" not in elements.count
    assert len(elements.ids) == len(set(elements.ids))
    targets = {x[1:] for x in elements.references if x.startswith("#")}
    assert targets <= set(elements.ids)


def test_a_page_tells_figures_configuration_versions_and_what_was_left_out():
    page = make_page([frame(i, 0.01, "mug", "can") for i in range(12)])
    for text in (
        "<td>mug</td><td>12</td><td>100.0</td>",
        "12 &lt;of&gt; 12",
        "a &amp; b left out",
        "weights: some/where",
        "<dt>torch</dt>",
        "Expected calibration error 0.200",
        "f1: mug",
    ):
        assert text in page


def test_few_objects_have_figures_and_curves_with_their_number():
    page = make_page([frame(i, 0.01, "mug") for i in range(3)])
    assert "<td>mug</td><td>3</td><td>100.0</td>" in page
    assert "over 3 estimates" in page
    assert "fewer than 10 objects say little" in page
    assert "<td>-</td>" not in page
    assert Elements(page).count["svg"] == 4
    many = make_page([frame(i, 0.01, "mug") for i in range(10)])
    assert "say little" not in many


def test_missed_objects_alone_have_precisions_of_zero():
    found = frame(0, 0.01, "mug")
    page = make_page([FrameEvaluation("f", 0, (), found.truths, {"encode": 2.0})])
    assert "<td>mug</td><td>1</td><td>0.0</td>" in page
    assert Elements(page).open == []


def errors(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("degrees", "centimetres", "iou", "expected"),
    [
        (errors(0.3, 1.2), errors(0.1, 0.4), errors(0.93, 0.97), (2.0, 0.5, 0.9)),
        (errors(4.0, 5.0), errors(1.0, 1.1), errors(0.8, 0.9), (5.0, 2.0, 0.8)),
        (errors(*[0.5] * 99, 170.0), errors(*[0.2] * 99, 80.0), errors(1.0), (2.0, 0.5, 0.9)),
        (errors(170.0), errors(300.0), errors(0.0), (180.0, 50.0, 0.0)),
        (errors(), errors(), errors(), (180.0, 50.0, 0.0)),
        (errors(1.0), errors(0.0), errors(np.nan), (2.0, 0.5, 0.0)),
    ],
)
def test_axes_hold_most_of_the_errors(degrees, centimetres, iou, expected):
    axes = ErrorAxes.of(degrees, centimetres, iou)
    assert (axes.degrees, axes.centimetres) == expected[:2]
    assert axes.iou == pytest.approx(expected[2])


def test_curves_and_histograms_share_their_axes():
    axes = ErrorAxes.of(errors(0.3), errors(4.0), errors(0.7))
    assert axes.degree_thresholds[-2:] == [axes.degrees, np.inf]
    assert axes.centimetre_thresholds[-2:] == [axes.centimetres, np.inf]
    assert (axes.iou_thresholds[0], axes.iou_thresholds[-1]) == (pytest.approx(0.6), 1.0)


def test_errors_beyond_the_axes_are_counted():
    axes = ErrorAxes(5.0, 2.0, 0.8)
    plot = error_histograms(errors(1.0, 6.0, 90.0), errors(2.0), errors(0.8, 0.3, 1.0), axes)
    assert "2 above 5" in plot
    assert "1 below 0.8" in plot
    assert "above 2" not in plot
    assert "above 1" not in plot


def test_without_truth_there_are_times():
    frames = [FrameEvaluation("f", 0, (), None, {"encode": 2.0}) for _ in range(3)]
    page = make_page(frames, pictures=[], problems=[], configuration=None)
    assert "Average precision" not in page
    assert "Wall time by stage" in page
    assert Elements(page).open == []


def test_rare_slow_frames_do_not_squeeze_the_time_axis():
    steady = stage_times({"encode": [10.0] * 20, "total": [20.0] * 20})
    assert "(to" not in steady
    slow = stage_times({"encode": [10.0] * 20, "total": [20.0] * 17 + [3000.0] * 3})
    assert "20.0 (to 3000)" in slow
    assert ">2000<" not in slow


def test_a_page_is_the_same_every_time():
    frames = [frame(i, 0.01, "mug") for i in range(12)]
    assert make_page(frames) == make_page(frames)


@pytest.mark.parametrize("count", [1, 3, 12])
def test_the_worst_objects_come_first_and_no_object_too_often(count):
    frames = [frame(i, 0.01 * i, "mug", "can") for i in range(6)]
    worst = worst_objects(frames, count)
    shifts = [x.evaluation.errors.trans_err_cm for x in worst]
    assert shifts == sorted(shifts, reverse=True)
    assert shifts[0] == pytest.approx(5.0)
    assert len(worst) == min(count, 4)
    for x in worst:
        assert frames[x.frame].objects[x.index] is x.evaluation


def test_the_caption_of_a_wrong_estimate_names_its_alternative():
    (x,) = frame(1, 0.01, "mug").objects
    rival = make_alternative("can", probability=0.2)
    unsure = replace(x, reported=replace(x.reported, alternatives=(rival,)))
    assert caption("f1", x) == "f1: mug 10, confidence 0.80, 0.0°, 1.0 cm"
    assert caption("f1", unsure) == "f1: mug 10, confidence 0.80, or can 20 %, 0.0°, 1.0 cm"

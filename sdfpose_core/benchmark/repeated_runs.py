"""Average the figures of repeated runs of a benchmark, with their spread, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sdfpose_core.evaluation.nocs_results import average_metrics

__all__ = ["RepeatedFigures", "figures_table", "repeated_figures"]

RepeatedFigures = dict[str, Any]
"""Result of `repeated_figures`, JSON-serialisable."""

_HEADINGS = {
    "iou25": "IoU25",
    "iou50": "IoU50",
    "iou75": "IoU75",
    "deg5_cm2": "5° 2 cm",
    "deg5_cm5": "5° 5 cm",
    "deg10_cm2": "10° 2 cm",
    "deg10_cm5": "10° 5 cm",
}


def repeated_figures(documents: Sequence[Mapping[str, Any]]) -> RepeatedFigures:
    """Average the documents of repeated runs of `eval real275`.

    With R runs of C categories, ``mean`` is the average over the R x C networks, and ``spread`` the
    standard deviation, over the runs, of the mean over the categories. ``category_spread`` has the
    standard deviation of each category.

    Args:
        documents: content of the ``--json`` file of each run.
    """
    runs = [{key: x[key] for key in ("per_category", "mean")} for x in documents]
    averages = average_metrics(runs)
    averages["category_spread"] = {
        name: {
            key: float(np.std([x["per_category"][name][key] for x in runs]))
            for key in _HEADINGS
            if all(x["per_category"].get(name, {}).get(key) is not None for x in runs)
        }
        for name in averages["per_category"]
    }
    for key in ("truth", "images", "iou", "misses", "scores"):
        values = list(dict.fromkeys(x[key] for x in documents))
        averages[key] = values[0] if len(values) == 1 else "mixed"
    averages["detections"] = dict(documents[0]["detections"])
    averages["problems"] = list(dict.fromkeys(y for x in documents for y in x["problems"]))
    return averages


def figures_table(found: RepeatedFigures) -> str:
    """Build a Markdown table of the averages, in per cent, with the spread over the runs."""
    lines = [
        f"| | objects | {' | '.join(_HEADINGS.values())} |",
        f"|---|---|{'---|' * len(_HEADINGS)}",
    ]
    rows = [(x, y, found["category_spread"][x]) for x, y in found["per_category"].items()]
    for name, values, spread in [*rows, ("mean", found["mean"], found["spread"])]:
        cells = [_cell(values[key], spread.get(key)) for key in _HEADINGS]
        lines.append(f"| {name} | {values['n']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None, spread: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" + ("" if spread is None else f" ± {spread:.1f}")

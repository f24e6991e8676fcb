"""Average the figures of repeated runs of a benchmark, with their spread, as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from sdfpose_core.evaluation.nocs_results import average_metrics

__all__ = [
    "REFINEMENTS",
    "RepeatedFigures",
    "figures_table",
    "repeated_figures",
    "report_text",
    "tables_text",
]

REFINEMENTS = {"none": "Without refinement", "icp": "With ICP"}
"""Titles of the tables, by the refinement of the estimates."""

RepeatedFigures = dict[str, Any]
"""Result of `repeated_figures`, JSON-serialisable."""

_MAX_PROBLEMS = 20
"""Number of problems that the report lists."""

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


def tables_text(document: Mapping[str, Any]) -> str:
    """Tables of all refinements, with what a reader has to know to set them beside others.

    Args:
        document: see `report_text`.
    """
    found, count = document["refine"], len(document["categories"])
    text = (
        f"Average precision in per cent, mean of {document['runs']} x {count} networks (seeds x "
        "categories) ± standard deviation over the seeds.\n"
    )
    for refine, title in REFINEMENTS.items():
        text += f"\n**{title}**\n\n{figures_table(found[refine])}"
    first = found["none"]
    text += (
        f"\nTruth: {first['truth']}. IoU: {first['iou']}. Scores: {first['scores']}. Misses: "
        f"{first['misses']}. Detections: {first['detections']['folder']}. Images: "
        f"{first['images']}.\n"
    )
    if first["truth"] in ("coordinate_maps", "mixed"):
        text += (
            "\nSome true poses are computed from maps of object coordinates: the figures are not "
            "those of the benchmark.\n"
        )
    if document["miniature"]:
        text += "\nSimulated data and tiny networks (--miniature): the figures mean nothing.\n"
    return text


def report_text(document: Mapping[str, Any]) -> str:
    """The report as Markdown: tables, problems, and the settings of each stage.

    Args:
        document: content of the report; docs/json_files.md lists its keys.
    """
    text = f"# SSC-6D on REAL275\n\n{tables_text(document)}\n"
    problems = dict.fromkeys(y for x in document["refine"].values() for y in x["problems"])
    if problems:
        text += f"## Problems\n\n{len(problems)} in all; `report.json` has those not listed here.\n"
        text += "\n" + "".join(f"- {x}\n" for x in list(problems)[:_MAX_PROBLEMS]) + "\n"
    text += "## Stages\n"
    for name, stage in document["stages"].items():
        seconds = stage["seconds"]
        took = "results were given" if seconds is None else f"{seconds:.0f} s"
        text += f"\n### {name}\n\n{took}\n\n```sh\n{stage['command']}\n```\n"
        if stage["settings"]:
            settings = yaml.safe_dump(json.loads(json.dumps(stage["settings"])), sort_keys=False)
            text += f"\n```yaml\n{settings}```\n"
    return text


def _cell(value: float | None, spread: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" + ("" if spread is None else f" ± {spread:.1f}")

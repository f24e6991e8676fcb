"""Tables of `sdfpose bench pose`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from sdfpose_core.benchmark.pose_figures import MEASURES, MISSED
from sdfpose_core.cli.output import (
    figure,
    measure_heading,
    new_table,
    note_few_objects,
    wide_console,
)

__all__ = ["print_categories", "print_instances", "print_poses", "print_tracking"]

_MODE_COLUMNS = {
    "wrong_mode": ("wrong\nmode %", 1),
    "wrong_confident": ("of these\nconfident %", 1),
    "chosen_deg10_cm5": ("10 deg 5 cm\nchosen %", 1),
    "oracle_deg10_cm5": ("10 deg 5 cm\nany mode %", 1),
    "right_rank": ("rank of the\nright one", 2),
}
"""Heading and digits of each figure of the modes."""


def print_instances(instances: Sequence[Mapping[str, Any]]) -> None:
    """Print the errors of each instance."""
    table = new_table("instances")
    for name in ("instance", "category"):
        table.add_column(name, overflow="fold")
    for name in ("rot. deg", "trans. cm", "3D IoU", "confidence"):
        table.add_column(name, justify="right", no_wrap=True)
    for x in instances:
        table.add_row(
            Text(x["name"]),
            Text(_category(x)),
            f"{x['rot_err_deg']:.1f}",
            f"{x['trans_err_cm']:.2f}",
            f"{x['iou']:.2f}",
            f"{x['confidence']:.2f}",
        )
    wide_console().print(table)


def print_poses(document: Mapping[str, Any]) -> None:
    """Print the metrics of `summarise`."""
    table = new_table(f"sdfpose bench pose --suite {document['suite']}")
    table.add_column("category", overflow="fold")
    for heading in (
        "n",
        *map(measure_heading, MEASURES),
        "rot.\ndeg",
        "trans.\ncm",
        "Chamfer\nmm",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, x in [*document["per_category"].items(), ("mean", document["mean"])]:
        table.add_row(
            Text(name),
            str(x["n"]),
            *(f"{x[measure]:.1f}" for measure in MEASURES),
            figure(x["rot_median_deg"], 2),
            figure(x["trans_median_cm"], 2),
            figure(x["chamfer_median_mm"], 2),
        )
    note_few_objects(table, (x["n"] for x in document["per_category"].values()))
    console = wide_console()
    console.print(table)
    console.print(_modes_table(document))
    mean, ms = document["mean"], document["time_ms"]
    lines = [
        f"confidence: calibration error {mean['ece']:.3f}, AUROC {figure(mean['auroc'], 3)}",
        "median time: " + ", ".join(f"{stage} {value:.0f} ms" for stage, value in ms.items()),
    ]
    for title, bins in (
        ("visible fraction", document["by_visibility"]),
        ("distance (m)", document["by_distance_m"]),
        ("kind of view", document["by_view"]),
    ):
        if bins:
            shares = ", ".join(
                f"{k}: {v['right_percent']:.0f} % of {v['n']}" for k, v in bins.items()
            )
            lines.append(f"within 10 deg and 5 cm by {title}: {shares}")
    for line in lines:
        console.print(line, highlight=False)


def print_categories(document: Mapping[str, Any]) -> None:
    """Print the reported categories of the objects of each category."""
    confusion = document["confusion"]
    columns = dict.fromkeys([*confusion, *(name for row in confusion.values() for name in row)])
    names = [*(x for x in columns if x != MISSED), *(x for x in columns if x == MISSED)]
    table = new_table("reported as")
    table.add_column("category", overflow="fold")
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for name, row in confusion.items():
        table.add_row(Text(name), *(str(row.get(x, 0)) for x in names))
    console = wide_console()
    console.print(table)
    console.print(f"category right: {document['category_right']:.1f} %", highlight=False)


def print_tracking(document: Mapping[str, Any]) -> None:
    """Print the metrics of tracking of `summarise_sequences`."""
    lines = [
        f"tracking: {document['id_switches']} id switches, {document['flips']} flips "
        f"({document['flips_that_mend']} of them corrective), {document['recoveries']} of "
        f"{document['gaps']} gaps recovered, drift {figure(document['drift_deg'], 2)} deg and "
        f"{figure(document['drift_cm'], 2)} cm over {document['drift_tracks']} tracks",
        f"modes: {figure(document['flips_per_track'], 2)} flips per track of "
        f"{document['tracks']}; first mode wrong {figure(document['first_mode_wrong'], 1)} %, of "
        f"these mended within a second {figure(document['first_mode_mended'], 1)} %; wrong "
        f"category {figure(document['wrong_category'], 1)} %",
    ]
    for title, key in (("detected from scratch", "detection"), ("tracked", "tracking_there")):
        if (x := document[key]) is not None:
            lines.append(
                f"{x['n']} objects {title}: rot. {figure(x['rot_median_deg'], 2)} deg, trans. "
                f"{figure(x['trans_median_cm'], 2)} cm, IoU50 {x['iou50']:.1f}, 5 deg 2 cm "
                f"{x['deg5_cm2']:.1f}, 10 deg 5 cm {x['deg10_cm5']:.1f}"
            )
    console = wide_console()
    for line in lines:
        console.print(line, highlight=False)


def _modes_table(document: Mapping[str, Any]) -> Table:
    table = new_table("modes")
    table.add_column("category", overflow="fold")
    for heading, _ in _MODE_COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, x in [*document["per_category"].items(), ("mean", document["mean"])]:
        cells = (figure(x[key], digits) for key, (_, digits) in _MODE_COLUMNS.items())
        table.add_row(Text(name), *cells)
    return table


def _category(instance: Mapping[str, Any]) -> str:
    """The true category, and the reported one if it is another."""
    true, reported = instance["category"], instance["reported_category"]
    return true if reported in (None, true) else f"{true} ({reported})"

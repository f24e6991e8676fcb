"""The work of `sdfpose bench shapes`."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from rich.console import Console
from rich.text import Text

from sdfpose_core.benchmark.meshing import time_meshes
from sdfpose_core.benchmark.shapes import ShapeBenchmarkConfig, benchmark_shapes
from sdfpose_core.cli.category_choice import given_packs, usable_categories
from sdfpose_core.cli.output import (
    new_table,
    print_problems,
    wide_console,
    write_json,
)
from sdfpose_core.cli.paths import check_input_folder, check_output_file
from sdfpose_core.device import resolve_device
from sdfpose_core.sdf.loading import load_decoder

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Run the shape benchmark.

    Raises:
        SdfposeError: An argument is invalid, or the weights or meshes cannot be used.
    """
    check_output_file("--json", args.json)
    check_input_folder("--data", args.data, "CATEGORY/NAME.obj")
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    packs = given_packs(args)
    skipped: list[str] = []
    names = usable_categories(packs, args.category, skipped)
    device = resolve_device(args.device)
    console = Console(stderr=True)
    decoders = [load_decoder(packs[x].verified("decoder"), device) for x in names]
    with console.status("timing the meshing") as status:
        mesh_ms = time_meshes(decoders)
        per_category, problems = benchmark_shapes(
            packs,
            names,
            ShapeBenchmarkConfig(procedural=args.count, seed=args.seed),
            data=args.data,
            device=device,
            progress=status.update,
        )
    problems = skipped + problems
    document = {
        "per_category": per_category,
        "mean": _mean(list(per_category.values())),
        "mesh_ms": mesh_ms,
        "problems": problems,
    }
    if args.json is not None:
        write_json(args.json, document)
    print_problems(problems)
    _print(document)
    return 0


def _mean(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Average nested figures key by key, over the entries that have the key."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for entry in entries for key in entry if key != "per_mesh"):
        values = [entry[key] for entry in entries if entry.get(key) is not None]
        if values and isinstance(values[0], dict):
            found[key] = _mean(values)
        else:
            found[key] = sum(values) / len(values) if values else None
    return found


def _print(document: dict[str, Any]) -> None:
    table = new_table("sdfpose bench shapes")
    table.add_column("category", overflow="fold")
    table.add_column("shapes", no_wrap=True)
    for name in (
        "n",
        "Cham-\nfer\nmed. %",
        "Cham-\nfer\nmean %",
        "one\nview\nmed. %",
        "F\nat\n1 %",
        "nor-\nmals",
        "volume\nIoU",
        "|grad|\nerror",
        "MiB",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for name, entry in [*document["per_category"].items(), ("mean", document["mean"])]:
        for kind in ("procedural", "meshes"):
            if kind in entry:
                x = entry[kind]
                table.add_row(
                    Text(name),
                    kind,
                    f"{x['n']:.0f}",
                    f"{100.0 * x['chamfer_median']:.2f}",
                    f"{100.0 * x['chamfer_mean']:.2f}",
                    f"{100.0 * x['chamfer_view_median']:.2f}",
                    f"{x['fscore']:.3f}",
                    f"{x['normal_consistency']:.3f}",
                    "" if x["volume_iou"] is None else f"{x['volume_iou']:.3f}",
                    f"{entry['grad_norm_err']:.3f}",
                    f"{entry['weights_mib']:.2f}",
                )
    console = wide_console()
    console.print(table)
    ms = document["mesh_ms"]
    console.print(
        f"meshing: 64^3 {ms['fast_64']:.0f} ms, 128^3 {ms['fast_128']:.0f} ms; dense 64^3 "
        f"{ms['dense_64']:.0f} ms, dense 64^3 with DeepSDF's network "
        f"{ms['paper_dense_64']:.0f} ms ({ms['paper_dense_64'] / ms['fast_64']:.0f} times as long)",
        highlight=False,
    )

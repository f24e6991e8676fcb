#!/usr/bin/env python3
"""Adapt the network of SSC-6D to another colour domain without labels, and measure the gain.

    python training/adapt_colour.py bowl --work WORK --json colour.json

Trains the encoder `ssc6d` on simulated images like those of CAMERA, then on unlabelled images of
another domain: with the losses of SSC-6D (Peng et al., AAAI 2022; `paper`), with certified labels,
with true labels (the upper bound), and without any loss (``control``), for several seeds. Needs no
data. Finished stages are not repeated, and an interrupted training goes on where it stopped.
Several processes may share the work: start each with other ``--methods``.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from sdfpose_core.benchmark.colour_adaptation import (
    METHODS,
    ColourAdaptation,
    adapt,
    gap_closed,
    instances_of,
    labelled_views,
    mean_and_sd,
    measure,
    pretrain,
)
from sdfpose_core.cli.choices import add_threads_argument
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.output import new_table, wide_console, write_json
from sdfpose_core.cli.paths import check_output_file, check_output_folder
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.packs.collection import Packs
from sdfpose_core.sdf.training_shapes import procedural_codes
from sdfpose_core.simulation.instances import SimulatedInstance
from sdfpose_core.storage.configuration import read_configuration

CONFIG = Path(__file__).parent.parent / "config" / "training" / "colour_adaptation.yaml"

SHOWN = ("iou50", "deg5_cm5", "deg10_cm2", "deg10_cm5")
JUDGED = "deg10_cm5"


class Experiment:
    """The stages of the experiment, whose results are kept in a folder."""

    def __init__(self, category: str, config: ColourAdaptation, work: Path, bar: Progress) -> None:
        self.config, self.work, self.bar = config, work, bar
        self.base = CategoryModel.load(
            Packs.beside_shipped()[category], "none", torch.device("cpu")
        )
        self.category = self.base.category.name
        self.views = labelled_views(category, config, work / f"{self.category}.views.npz")
        self.codes = procedural_codes(category, self.base.decoder, config.models).cpu()
        self._instances: dict[tuple[str, str], list[SimulatedInstance]] = {}

    def instances(self, objects: str, appearance: Any) -> list[SimulatedInstance]:
        """Instances of a domain, simulated once."""
        key = (objects, appearance)
        if key not in self._instances:
            stream = instances_of(self.category, self.config, *key)
            count = getattr(self.config, f"{objects}_views")
            self._instances[key] = list(
                self.bar.track(stream, total=count, description=f"{objects} views, {appearance}")
            )
        return self._instances[key]

    def encoder(self, name: str, train: Any) -> Ssc6dEncoder:
        """A network from its file, or else trained by `train(checkpoint, progress)`."""
        path = self.work / f"{self.category}.{name}.safetensors"
        if not path.exists():
            task = self.bar.add_task(f"{name}: training", total=None)
            encoder = train(
                path.with_suffix(".ckpt"),
                lambda step, losses: self.bar.update(task, completed=step),
            )
            encoder.save(path, self.category)
            self.bar.remove_task(task)
        return Ssc6dEncoder.load(path)

    def start(self) -> Ssc6dEncoder:
        """The network of the first domain."""
        symmetric = self.base.category.symmetry == "y"
        return self.encoder(
            "start",
            lambda checkpoint, progress: pretrain(
                self.views, self.codes, symmetric, self.config, checkpoint, progress
            ),
        )

    def adapted(self, method: Any, seed: int) -> Ssc6dEncoder:
        """A network after its training on the second domain."""
        start = replace(self.base, encoder=self.start())
        return self.encoder(
            f"{method}.{seed}",
            lambda checkpoint, progress: adapt(
                start,
                self.views,
                self.codes,
                self.instances("real", "field"),
                self.config,
                method,
                seed,
                checkpoint,
                progress,
            ),
        )

    def figures(self, name: str, encoder: Ssc6dEncoder, appearance: str) -> dict[str, Any]:
        """Figures of a network in a domain, alone and refined, kept in a file."""
        path = self.work / f"{self.category}.{name}.{appearance}.json"
        if not path.exists():
            model = replace(self.base, encoder=encoder)
            items = self.instances("test", appearance)
            found = {}
            for key, refined in (("alone", False), ("refined", True)):
                task = self.bar.add_task(f"{name} on {appearance}, {key}", total=len(items))
                advance = partial(self.bar.advance, task)
                found[key] = measure(model, items, refined=refined, progress=advance)
                self.bar.remove_task(task)
            write_json(path, found)
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("category")
    parser.add_argument("--work", type=Path, required=True, help="folder for all results")
    parser.add_argument("--seeds", type=integer(), default=3, help="runs per method (default: 3)")
    parser.add_argument(
        "--methods", nargs="*", choices=METHODS, default=METHODS, help="only these (default: all)"
    )
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    add_threads_argument(parser)
    args = parser.parse_args(arguments)
    check_output_folder("--work", args.work)
    check_output_file("--json", args.json)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    config = read_configuration(args.config, ColourAdaptation)
    with Progress() as bar:
        run = Experiment(args.category, config, args.work, bar)
        start = run.start()
        document: dict[str, Any] = {
            "category": run.category,
            "seeds": args.seeds,
            "first domain": run.figures("start", start, "studio"),
            "before": run.figures("start", start, "field"),
            "runs": {
                method: [
                    run.figures(f"{method}.{seed}", run.adapted(method, seed), "field")
                    for seed in range(args.seeds)
                ]
                for method in args.methods
            },
        }
    rows = [("first domain", [document["first domain"]]), ("before", [document["before"]])]
    rows += list(document["runs"].items())
    console = wide_console()
    for key in ("alone", "refined"):
        table = new_table(f"ssc6d, {run.category}, {key}: mean ± sd of {args.seeds} runs, %")
        for name in ("", *SHOWN, "gap closed"):
            table.add_column(name)
        for name, runs in rows:
            some = [x[key] for x in runs]
            cells = [mean_and_sd(some, x) for x in SHOWN]
            table.add_row(
                name,
                *(f"{m:.1f}" if len(some) == 1 else f"{m:.1f} ± {sd:.1f}" for m, sd in cells),
                _closed(document, name, key),
            )
        console.print(table)
    if args.json is not None:
        write_json(args.json, document)
    return 0


def _closed(document: dict[str, Any], method: str, key: str) -> str:
    """Share of the gap to the labels at `JUDGED` that a method closes."""
    runs = document["runs"]
    if method not in runs or "labels" not in runs:
        return ""
    labels, after = (
        mean_and_sd([x[key] for x in runs[name]], JUDGED)[0] for name in ("labels", method)
    )
    share = gap_closed(document["before"][key][JUDGED], after, labels)
    return "no gap" if share is None else f"{100.0 * share:.0f} %"


if __name__ == "__main__":
    sys.exit(execute("adapt_colour", main))

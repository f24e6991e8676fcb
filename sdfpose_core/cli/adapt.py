"""The work of `sdfpose adapt`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from sdfpose_core.cli.category_choice import (
    given_packs,
    usable_categories,
)
from sdfpose_core.cli.output import print_problems, problems_of_failure, write_file, write_json
from sdfpose_core.cli.paths import check_output_folder
from sdfpose_core.device import resolve_device
from sdfpose_core.encoder.views import Views
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.observation.frame import Instance, ObjectEstimate, RgbdFrame
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.packs.writing import copy_shared, write_pack
from sdfpose_core.sdf.training_shapes import procedural_codes
from sdfpose_core.selfsup.fitness import Fitness, measure_fitness, regressions
from sdfpose_core.selfsup.recordings import recorded_frames, recorded_instances
from sdfpose_core.selfsup.teacher import teacher
from sdfpose_core.selfsup.training import (
    CertifiedTraining,
    SelfSupervision,
    self_supervised_training,
)
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.simulation.instances import SimulatedInstance, simulated_instances
from sdfpose_core.visualisation.comparison import change, draw_comparison

__all__ = ["run"]

_HELD_OUT_EVERY = 4
_FEWEST_TO_SPLIT = 12
_SYNTHETIC_VIEWS, _SYNTHETIC_SHAPES = 800, 64
_SIMULATED_TESTS = 60
_PICTURES = 4
_COMPARED = 16
"""Frames that are compared to choose those with the largest changes."""

_COSTS = {"simulating": 0.05, "fitting": 0.05, "evaluating": 0.1, "labelling": 0.1, "training": 0.3}
"""Approximate seconds per item of each stage, for the remaining time."""


def run(args: argparse.Namespace) -> int:
    """Adapt the network. Return 0 if weights were written, 1 if the network got worse.

    Raises:
        SdfposeError: An argument is invalid, or the data or weights cannot be used.
    """
    check_output_folder("--out", args.out)
    check_output_folder("--report", args.report)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    packs = given_packs(args)
    (name,) = usable_categories(packs, [args.category], [], family=True, encoder=True)
    before = CategoryModel.load(packs[name], "fast", resolve_device(args.device))
    errors = Console(stderr=True)
    problems: list[str] = []
    topics = dict(args.topic)
    reading = {"topics": topics, "every": args.every, "depth_unit": args.depth_unit}
    with problems_of_failure(problems):
        known = packs.categories
        real = recorded_instances(args.data, name, problems, categories=known, **reading)
    print_problems(problems)
    learnt, held_out = _split(real)
    counts = {
        "simulating": _SIMULATED_TESTS + _SYNTHETIC_VIEWS,
        "fitting": _SYNTHETIC_SHAPES,
        "evaluating": 2 * (len(held_out) + _SIMULATED_TESTS),
        "labelling": SelfSupervision().rounds * len(learnt) if args.losses == "certified" else 0,
        "training": args.steps,
    }
    setup = SelfSupervision(losses=args.losses)
    # With few instances, half of them must be certified; the result is evaluated in any case.
    setup = replace(setup, min_labels=min(setup.min_labels, -(-len(learnt) // 2)))
    setup = replace(setup, training=replace(setup.training, steps=args.steps, seed=args.seed))
    with _progress(errors) as bar:
        task = bar.add_task("simulating", total=sum(_COSTS[x] * n for x, n in counts.items()))

        done = dict.fromkeys(counts, 0)

        def advance(stage: str, number: int | None = None) -> None:
            """Count one more item of a stage, or all up to a number."""
            done[stage] = done[stage] + 1 if number is None else number
            completed = sum(_COSTS[x] * n for x, n in done.items())
            bar.update(task, description=stage, completed=completed)

        def simulate(count: int, seeds: range) -> Iterator[SimulatedInstance]:
            for x in simulated_instances(name, args.seed, count, model_seeds=seeds):
                advance("simulating")
                yield x

        def evaluate(model: CategoryModel) -> Fitness:
            return measure_fitness(
                model, held_out, tests, setup.certificate, lambda: advance("evaluating")
            )

        tests = list(
            simulate(_SIMULATED_TESTS, range(HELD_OUT_SEED, HELD_OUT_SEED + _SYNTHETIC_SHAPES))
        )
        fitness_before = evaluate(before)
        views = Views.collect(simulate(_SYNTHETIC_VIEWS, range(_SYNTHETIC_SHAPES)))
        codes = procedural_codes(
            name, before.decoder, _SYNTHETIC_SHAPES, lambda _: advance("fitting")
        )
        training = self_supervised_training(
            before, (views, codes.cpu()), learnt, setup, progress=lambda: advance("labelling")
        )
        encoder = training.run(progress=lambda step, losses: advance("training", step))
        after = replace(before, encoder=encoder)
        fitness_after = evaluate(after)
        bar.update(task, completed=bar.tasks[task].total)
    worse = regressions(fitness_after, fitness_before)
    if not worse:
        write_pack(args.out / name, packs[name].category, {"encoder": encoder}, packs[name])
        copy_shared(packs, args.out)
    report = {
        "category": name,
        "instances": len(real),
        "learnt_from": len(learnt),
        "certified_for_learning": len(training.labels.chosen)
        if isinstance(training, CertifiedTraining) and training.labels is not None
        else None,
        "problems": problems,
        "before": asdict(fitness_before),
        "after": asdict(fitness_after),
        "worse": worse,
        "written": not worse,
    }
    if args.report is not None:
        write_json(args.report / "report.json", report)
        frames = recorded_frames(args.data, name, [], **reading)
        _draw(args.report, frames, before, after)
    _print(report)
    if worse:
        errors.print(
            f"sdfpose: the adapted network is worse ({'; '.join(worse)}); no weights were "
            "written: record more images or use better masks",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return 1
    print(f"pack written to {args.out / name}")
    return 0


def _split(real: Sequence[Instance]) -> tuple[list[Instance], list[Instance]]:
    """Split into training and held-out instances; a small set serves as both."""
    if len(real) < _FEWEST_TO_SPLIT:
        return list(real), list(real)
    held_out = list(real[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY])
    learnt = [x for i, x in enumerate(real, start=1) if i % _HELD_OUT_EVERY]
    return learnt, held_out


def _progress(console: Console) -> Progress:
    """A bar over all stages, with the name of the present one and the remaining time."""
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        transient=True,
    )


def _print(report: dict[str, Any]) -> None:
    table = Table(title=f"sdfpose adapt: {report['category']}", title_justify="left")
    for heading in ("", "before", "after"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, before in report["before"].items():
        after = report["after"][name]
        if name != "instances":
            table.add_row(name.replace("_", " "), f"{before:.3f}", f"{after:.3f}")
    Console().print(table)
    print(
        f"trained on {report['learnt_from']} of {report['instances']} instances, evaluated on "
        f"{report['before']['instances']}"
    )


def _draw(
    folder: Path,
    frames: Iterable[tuple[str, RgbdFrame]],
    before: CategoryModel,
    after: CategoryModel,
) -> None:
    """Draw both networks' unrefined predictions where they differ most, among the first frames."""
    estimators = [teacher(x, refine="none", drawn=True) for x in (before, after)]
    categories, name = estimators[0].categories, before.category.name
    chosen: list[tuple[float, str, RgbdFrame, list[list[ObjectEstimate]]]] = []
    compared = 0
    for frame_name, frame in frames:
        instances = [x for x in segment(frame, categories)[0] if x.category == name]
        if not instances:
            continue
        estimates = [x.estimate(instances).estimates for x in estimators]
        chosen.append((change(*estimates), frame_name, frame, estimates))
        chosen = sorted(chosen, key=lambda x: -x[0])[:_PICTURES]
        compared += 1
        if compared == _COMPARED:
            break
    for _, frame_name, frame, (old, new) in chosen:
        picture = draw_comparison(frame, old, new, categories)
        content = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
        write_file(folder / f"{frame_name}.png", content)

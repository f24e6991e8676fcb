#!/usr/bin/env python3
"""Reproduce SSC-6D on the NOCS data: from the published archives to the table, or resume it.

    python training/reproduce_ssc6d.py DATA --out RUNS --dry-run
    python training/reproduce_ssc6d.py DATA --out RUNS --exclude SSC-6D/lib/data/removed_models
    python training/reproduce_ssc6d.py build/nocs --out build/miniature --miniature

Stages: preparation of the data, decoders, codes of the models, pre-training, self-supervised
training with several seeds, evaluation without and with ICP. Each is a command of its own, which is
printed. Finished stages are skipped, interrupted ones go on. The averages are printed and written
to RUNS/report.md and RUNS/report.json. With --miniature, the same commands run with tiny networks
on simulated data, which are generated in DATA; the figures then mean nothing.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sdfpose_core.benchmark.nocs_parts import BENCHMARKS
from sdfpose_core.benchmark.repeated_runs import (
    REFINEMENTS,
    repeated_figures,
    report_text,
    tables_text,
)
from sdfpose_core.benchmark.training_costs import (
    Cost,
    decoder_cost,
    encoder_cost,
    evaluation_cost,
    preparation_cost,
)
from sdfpose_core.categories import default_categories
from sdfpose_core.cli.choices import add_threads_argument
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.paths import check_output_folder
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES, nocs_images
from sdfpose_core.datasets.nocs_layout import NOCS_PARTS
from sdfpose_core.datasets.nocs_models import SYNSETS, model_folder
from sdfpose_core.datasets.nocs_shapes import surfaces_file
from sdfpose_core.encoder.ssc6d_training import Ssc6dTrainingConfig
from sdfpose_core.errors import CategoryError, ConfigurationError
from sdfpose_core.estimation.category_model import load_networks
from sdfpose_core.learning.stages import Stage, Stages
from sdfpose_core.packs.pack import Pack
from sdfpose_core.sdf.deepsdf_training import DeepSdfTrainingConfig
from sdfpose_core.selfsup.ssc6d_training import Ssc6dSelfSupervision
from sdfpose_core.simulation.nocs_data import write_miniature
from sdfpose_core.storage.configuration import build
from sdfpose_core.storage.files import temporary_sibling, write_atomically
from sdfpose_core.storage.text import read_text
from sdfpose_core.weights import weights_file

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "config" / "training"

LABELLED, UNLABELLED = "CAMERA/train", "Real/train"
BENCHMARK = "real275"

MINIATURE_IMAGES = 4
"""Images in each part of the miniature."""

TRAININGS = ("decoder", "pretrain", "self-supervise")
"""Kinds of the stages that several processes can share."""


class Recipe:
    """The stages of the reproduction and their estimated costs.

    Args:
        args: arguments of the command.

    Raises:
        SdfposeError: a category or a configuration is invalid.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.categories = _categories(args.categories)
        self.prepared = args.out / "prepared"
        self.weights = args.out / "weights"
        self.decoder_file, decoder = _content(args.configs / "deepsdf.yaml")
        self.pretraining_file, pretraining = _content(args.configs / "ssc6d.yaml")
        self.adaptation_file, adaptation = _content(args.configs / "ssc6d_self_supervision.yaml")
        self._contents = decoder, pretraining, adaptation
        self.decoder = build(
            DeepSdfTrainingConfig, decoder.get("training", {}), f"{self.decoder_file}: training"
        )
        self.pretraining = build(
            Ssc6dTrainingConfig,
            pretraining.get("training", {}),
            f"{self.pretraining_file}: training",
        )
        self.adaptation = build(
            Ssc6dSelfSupervision,
            adaptation.get("learning", {}),
            f"{self.adaptation_file}: learning",
        )
        self.stages = Stages(args.out / "stages", self._stages())

    def evaluation(self, refine: str, run: int) -> Path:
        """Path of the figures of an evaluation."""
        return self.args.out / "stages" / f"evaluate-{refine}-{run}" / f"{BENCHMARK}.json"

    def _stages(self) -> list[Stage]:
        runs = range(self.args.repeat)
        return [
            self._preparation(),
            *(self._decoder(x) for x in self.categories),
            *(self._codes(x) for x in self.categories),
            *(self._pretraining(x) for x in self.categories),
            *(self._adaptation(x, run) for run in runs for x in self.categories),
            *(self._evaluation(x, run) for x in REFINEMENTS for run in runs),
        ]

    def _preparation(self) -> Stage:
        data, parts = self.args.data, (LABELLED, UNLABELLED)
        command = ["prepare_nocs.py", data, "--out", self.prepared, "--parts", *parts]
        command += ["--no-codes", "--workers", max(self.args.workers, 1)]
        return Stage(
            "prepare",
            self._script(command),
            {"parts": list(parts)},
            tuple(self.prepared / x for x in parts),
            needs=tuple(data / x for x in (*parts, "obj_models/train", "obj_models/real_train")),
        )

    def _decoder(self, category: str) -> Stage:
        models = self.args.data / "obj_models" / "train"
        meshes = model_folder(models, category) or models / SYNSETS[category]
        command = ["train_decoder.py", category, "--decoder", "deepsdf", "--meshes", meshes]
        command += ["--left-handed", "--config", self.decoder_file, "--out", self.weights]
        settings: dict[str, Any] = {"configuration": self._contents[0], "exclude": None}
        if self.args.exclude is not None:
            command += ["--exclude", self.args.exclude]
            settings["exclude"] = str(self.args.exclude.resolve())
        return self._training(
            f"decoder-{category}",
            command,
            settings,
            weights_file(category, "decoder", self.weights),
            needs=(meshes,),
        )

    def _codes(self, category: str) -> Stage:
        command = ["prepare_nocs.py", self.args.data, "--out", self.prepared, "--parts"]
        command += ["--category", category, "--weights", self.weights]
        return Stage(
            f"codes-{category}",
            self._script(command),
            {},
            (surfaces_file(self.prepared / "codes", category),),
            after=(f"decoder-{category}",),
            needs=(self.args.data / "obj_models" / "train",),
        )

    def _pretraining(self, category: str) -> Stage:
        command = ["pretrain.py", category, "--encoder", "ssc6d", "--data", self.prepared]
        command += ["--part", LABELLED, "--config", self.pretraining_file]
        command += ["--weights", self.weights, "--workers", self.args.workers]
        return self._training(
            f"pretrain-{category}",
            command,
            {"configuration": self._contents[1]},
            weights_file(category, "encoder", self.weights),
            after=("prepare", f"decoder-{category}", f"codes-{category}"),
        )

    def _adaptation(self, category: str, run: int) -> Stage:
        out = self.args.out / f"run{run}"
        command = ["self_supervise.py", category, "--encoder", "ssc6d", "--data", self.prepared]
        command += ["--part", UNLABELLED, "--synthetic", LABELLED, "--seed", run]
        command += ["--config", self.adaptation_file, "--weights", self.weights, "--out", out]
        command += ["--workers", self.args.workers]
        return self._training(
            f"self-supervise-{category}-{run}",
            command,
            {"configuration": self._contents[2], "seed": run},
            weights_file(category, "encoder", out),
            after=("prepare", *(f"{x}-{category}" for x in ("decoder", "codes", "pretrain"))),
        )

    def _evaluation(self, refine: str, run: int) -> Stage:
        data, figures = self.args.data, self.evaluation(refine, run)
        detections = self.args.detections or data / BENCHMARKS[BENCHMARK].detections
        command = [sys.executable, "-m", "sdfpose_core.cli.main", "eval", BENCHMARK, data]
        command += ["--detections", detections, "--encoder", "ssc6d", "--refine", refine]
        command += ["--iou", "repaired", "--weights", self.args.out / f"run{run}"]
        command += ["--category", *self.categories, "--results", figures.with_name("results")]
        command += ["--json", figures, *self._machine()]
        needs = [data / BENCHMARKS[BENCHMARK].part, data / "obj_models" / "real_test"]
        if self.args.detections != "masks":
            needs.append(Path(detections))
        return Stage(
            f"evaluate-{refine}-{run}",
            tuple(map(str, command)),
            {"detections": str(self.args.detections), "categories": self.categories},
            (figures,),
            after=tuple(f"self-supervise-{x}-{run}" for x in self.categories),
            needs=tuple(needs),
        )

    def _training(
        self,
        name: str,
        command: Sequence[object],
        settings: Mapping[str, Any],
        result: Path,
        *,
        after: tuple[str, ...] = (),
        needs: tuple[Path, ...] = (),
    ) -> Stage:
        work = self.args.out / "stages" / name
        complete = self._script([*command, "--work", work, *self._machine()], self.args.launcher)
        given = not name.startswith("self-supervise")
        return Stage(name, complete, settings, (result,), after, needs, may_be_given=given)

    def _script(self, command: Sequence[object], launcher: str | None = None) -> tuple[str, ...]:
        start = [sys.executable] if launcher is None else shlex.split(launcher)
        return (*start, str(HERE / str(command[0])), *map(str, command[1:]))

    def _machine(self) -> list[object]:
        return ["--device", self.args.device, "--threads", self.args.threads]

    def check(self, stages: Sequence[Stage]) -> None:
        """Check what the stages read, before any of them runs.

        Raises:
            ConfigurationError: data are missing.
            WeightsError: networks that are there do not belong together.
        """
        missing = dict.fromkeys(y for x in stages for y in x.needs if not _has_content(y))
        if missing:
            text = "\n".join(f"  {x}{self.source(x)}" for x in missing)
            raise ConfigurationError(f"data are missing for the stages to run:\n{text}")
        for category in self.categories:
            files = [weights_file(category, x, self.weights) for x in ("decoder", "encoder")]
            if all(x.is_file() for x in files):
                load_networks(Pack.read(self.weights / category), "ssc6d")

    def source(self, path: Path) -> str:
        """Where to get missing data, as the end of a sentence; empty if unknown."""
        for part in NOCS_PARTS:
            if (self.args.data / part.folder) in (path, *path.parents):
                return f": {part.source}"
        return ""

    def cost(self, stage: Stage) -> Cost:
        """Estimate the cost of a whole stage, for what DATA contains."""
        data, kind = self.args.data, stage.name.split("-")[0]
        if kind == "prepare":
            images = sum(_images(data / x) for x in (LABELLED, UNLABELLED))
            return preparation_cost(images, max(self.args.workers, 1))
        if kind == "decoder":
            meshes = stage.needs[0]
            models = sum(x.is_dir() for x in meshes.iterdir()) if meshes.is_dir() else 0
            return decoder_cost(self.decoder, models)
        if kind == "pretrain":
            return encoder_cost(self.pretraining, self.pretraining.encoder)
        if kind == "self":
            learning = self.adaptation
            return encoder_cost(learning.training, self.pretraining.encoder, learning.real_batch)
        if kind == "evaluate":
            return evaluation_cost(_images(data / BENCHMARKS[BENCHMARK].part))
        return Cost()


def _content(path: Path) -> tuple[Path, dict[str, Any]]:
    """A configuration file and its content.

    Raises:
        ConfigurationError: it cannot be read as a mapping.
    """
    try:
        content = yaml.safe_load(read_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: expected a mapping, found {content!r}")
    return path, content


def _categories(requested: Sequence[str]) -> list[str]:
    known = default_categories()
    chosen = {known[x].name for x in requested}
    if unknown := sorted(chosen - set(NOCS_CATEGORIES)):
        raise CategoryError(
            f"--categories {', '.join(unknown)}: not in the benchmark: expected some of "
            f"{', '.join(NOCS_CATEGORIES)}"
        )
    return [x for x in NOCS_CATEGORIES if x in chosen]


def _has_content(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _images(folder: Path) -> int:
    return sum(1 for _ in nocs_images(folder)) if folder.is_dir() else 0


def generate_miniature(data: Path) -> None:
    """Generate simulated data in a folder, unless it has content."""
    if _has_content(data):
        return
    print(f"{data}: generating simulated images and models in the layout of NOCS", flush=True)
    data.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(data)
    write_miniature(temporary, images=MINIATURE_IMAGES)
    if data.exists():
        data.rmdir()
    temporary.rename(data)


def run_stage(stage: Stage) -> None:
    """Run the command of a stage.

    Raises:
        ConfigurationError: it failed; its own output shows why.
    """
    print(f"\n{stage.name}: {shlex.join(stage.command)}", flush=True)
    try:
        status = subprocess.run(stage.command, check=False).returncode
    except OSError as error:
        raise ConfigurationError(f"{stage.command[0]}: cannot be started: {error}") from error
    if status != 0:
        raise ConfigurationError(f"the command has failed (exit status {status}): see its output")


def print_plan(recipe: Recipe, chosen: Sequence[Stage]) -> None:
    """Print all stages, whether they are there, their commands and estimated costs."""
    pending = {x.name for x in chosen}
    hours = 0.0
    for stage in recipe.stages.stages.values():
        state, cost = recipe.stages.state(stage.name), recipe.cost(stage)
        text = f"{stage.name}: {state}"
        if stage.name in pending:
            hours += cost.hours or 0.0
            text += f", to run; {cost}"
        print(text)
        for path in stage.needs if stage.name in pending else ():
            if not _has_content(path):
                print(f"    needs {path}{recipe.source(path)}")
        print(f"    {shlex.join(stage.command)}")
    print(
        f"{len(pending)} of {len(recipe.stages.stages)} stages to run, {Cost(hours)} in all. "
        "Times and memory are extrapolated from measurements on one core of a CPU; they were not "
        "measured on a GPU."
    )


def write_report(recipe: Recipe) -> None:
    """Average the evaluations; print the tables and write both reports."""
    args, found = recipe.args, {}
    for refine in REFINEMENTS:
        paths = [recipe.evaluation(refine, x) for x in range(args.repeat)]
        found[refine] = repeated_figures([json.loads(x.read_text("utf-8")) for x in paths])
    document = {
        "runs": args.repeat,
        "categories": recipe.categories,
        "miniature": args.miniature,
        "truth": found["none"]["truth"],
        "refine": found,
        "stages": {
            x.name: {
                "command": shlex.join(x.command),
                "settings": dict(x.settings),
                "seconds": recipe.stages.seconds(x.name),
            }
            for x in recipe.stages.stages.values()
        },
    }
    write_atomically(args.out / "report.json", (json.dumps(document, indent=1) + "\n").encode())
    tables = tables_text(document)
    write_atomically(args.out / "report.md", report_text(document).encode())
    print(f"\n{tables}\nreport: {args.out / 'report.md'}", flush=True)


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; --miniature changes the defaults."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the NOCS data")
    parser.add_argument("--out", type=Path, required=True, metavar="RUNS", help="results folder")
    parser.add_argument("--categories", nargs="+", metavar="NAME", help="default: all six")
    parser.add_argument(
        "--repeat", type=integer(), metavar="N", help="number of seeds, from 0 on (default: 6)"
    )
    parser.add_argument(
        "--stages",
        nargs="+",
        metavar="NAME",
        help="run only these stages; patterns such as 'self-supervise-mug-*' are allowed",
    )
    parser.add_argument(
        "--exclude",
        type=Path,
        metavar="DIR",
        help="models to leave out: SSC-6D's removed_models, or see train_decoder.py --exclude",
    )
    parser.add_argument(
        "--detections", metavar="DIR", help="see 'sdfpose eval real275' (default: as there)"
    )
    parser.add_argument(
        "--configs",
        type=Path,
        metavar="DIR",
        help="folder of deepsdf.yaml, ssc6d.yaml and ssc6d_self_supervision.yaml",
    )
    parser.add_argument(
        "--launcher",
        metavar="COMMAND",
        help="starts the trainings instead of python, e.g. 'torchrun --nproc-per-node 2'",
    )
    parser.add_argument("--device", default="auto")
    add_threads_argument(parser)
    parser.add_argument(
        "--workers",
        type=integer(0),
        default=2,
        help="processes that prepare or load data (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the stages, run nothing")
    parser.add_argument(
        "--miniature", action="store_true", help="tiny networks on simulated data: a test"
    )
    args = parser.parse_args(arguments)
    if args.miniature:
        args.categories = args.categories or ["can"]
        args.repeat = args.repeat or 2
        args.detections = args.detections or "masks"
    args.categories = args.categories or list(NOCS_CATEGORIES)
    args.repeat = args.repeat or 6
    args.configs = args.configs or (CONFIGS / "miniature" if args.miniature else CONFIGS)
    return args


def chosen_stages(recipe: Recipe, patterns: Sequence[str] | None) -> list[Stage]:
    """Stages to run.

    Raises:
        ConfigurationError: a pattern fits no stage, or a stage uses one that is not finished.
    """
    if patterns is None:
        return recipe.stages.pending()
    names: list[str] = []
    for pattern in patterns:
        fitting = fnmatch.filter(recipe.stages.stages, pattern)
        if not fitting:
            raise ConfigurationError(
                f"--stages {pattern}: no such stage: expected some of "
                f"{', '.join(recipe.stages.stages)}"
            )
        names += fitting
    return recipe.stages.pending(names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = arguments_of(arguments)
    check_output_folder("--out", args.out)
    if args.miniature and not args.dry_run:
        check_output_folder("DATA", args.data)
        generate_miniature(args.data)
    recipe = Recipe(args)
    recipe.stages.check()
    stages = chosen_stages(recipe, args.stages)
    if args.dry_run:
        print_plan(recipe, stages)
        return 0
    if stages:
        recipe.check(stages)
        recipe.stages.run(
            stages, run_stage, lambda text: print(f"reproduce_ssc6d: {text}", file=sys.stderr)
        )
    evaluations = [x for x in recipe.stages.stages if x.startswith("evaluate")]
    unfinished = [x for x in evaluations if recipe.stages.state(x) != "there"]
    if unfinished:
        print(f"{len(unfinished)} evaluations are not finished: no report yet")
    else:
        write_report(recipe)
    return 0


if __name__ == "__main__":
    sys.exit(execute("reproduce_ssc6d", main))

"""Learning of a category: shapes, decoder, encoder, validation, pack."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.category_learning.blends import blended_models
from sdfpose_core.category_learning.card import ALIGNMENT_PICTURE, RECONSTRUCTIONS, card_text
from sdfpose_core.category_learning.model_file import load_models, save_models
from sdfpose_core.category_learning.preparation import PreparedCategory
from sdfpose_core.category_learning.settings import LearningSettings
from sdfpose_core.category_learning.shape_sets import ShapeSets, divide_shapes
from sdfpose_core.category_learning.validation import LearnedFigures, measure_category
from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.encoder.pretraining import EncoderTraining
from sdfpose_core.encoder.simulated_views import SimulatedViewFile
from sdfpose_core.encoder.view_files import make_view_files
from sdfpose_core.encoder.views import TrainingViews, Views
from sdfpose_core.errors import ConfigurationError, MeshError
from sdfpose_core.packs.collection import Packs
from sdfpose_core.packs.pack import Pack
from sdfpose_core.packs.writing import write_pack
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.training import DecoderTraining, load_codes, save_codes
from sdfpose_core.sdf.training_shapes import model_codes, sampled_shapes
from sdfpose_core.simulation.instances import ModelPool
from sdfpose_core.storage.files import write_atomically
from sdfpose_core.storage.locks import locked
from sdfpose_core.visualisation.reconstructions import reconstruction_sheet

__all__ = ["CategoryLearning", "LearnedCategory", "StageProgress"]

StageProgress = Callable[[str, float], None]
"""Called with the name of a stage and its finished share, 0 to 1."""

_RECIPE = 2
"""Version of the learning. Increase it when results change with equal inputs."""

_PART_VIEWS = 500
"""Views per file: an interrupted run repeats no more."""

_PICTURE_PX = 2000
"""Largest side of a picture in the pack."""

_SHAPE_BYTES, _VIEW_BYTES = 1_200_000, 13_000
"""Space that a shape, with its samples, and a view take in the work folder."""

_LOCK = ".lock"

_DISTRACTORS = 24
_SHOWN = 8
"""Largest number of held-out models in the picture."""


@dataclass(frozen=True)
class LearnedCategory:
    """Result of the learning.

    Attributes:
        pack: the pack.
        figures: accuracy on held-out models.
    """

    pack: Pack
    figures: LearnedFigures


class CategoryLearning:
    """Learning of a category, in stages that each leave files in a folder.

    An interrupted run goes on where it stopped and has the same result. The folder's name is a
    digest of models and settings: after a change, nothing of an earlier run is used.

    Args:
        prepared: the models and the entry of the category.
        settings: numbers of shapes, views and steps.
        work: folder for intermediate files.
        device: of the trainings.
        workers: processes that simulate views.
        progress: called as the stages go on.
    """

    def __init__(
        self,
        prepared: PreparedCategory,
        settings: LearningSettings,
        work: Path,
        device: torch.device,
        *,
        workers: int = 1,
        progress: StageProgress = lambda stage, share: None,
    ) -> None:
        alone = len(prepared.models) == 1
        self.prepared = prepared
        self.settings = settings.for_one_model() if alone else settings
        self.work = work
        self.device = device
        self.workers = workers
        self.progress = progress
        self.category = prepared.category
        self.folder = work / f"run-{self._digest()}"

    @property
    def _samples(self) -> Path:
        """Folder of the samples, whose names tell their shapes: all runs share it."""
        return self.work / "samples"

    def costs(self) -> dict[str, float]:
        """Expected seconds of each stage, in order; what counts are their ratios."""
        settings, shapes = self.settings, self.settings.shapes
        return {
            "samples": 0.09 * shapes,
            "decoder": 0.105 * settings.decoder.steps,
            "shapes": 0.4 * settings.blends + 0.24 * (shapes + settings.blends),
            "views": 0.015 * settings.views / self.workers,
            "encoder": 0.27 * settings.encoder.steps,
            "validation": 1.5 * settings.cases + 20.0,
        }

    @cached_property
    def shapes(self) -> ShapeSets:
        """Shapes for training and validation."""
        return divide_shapes(self.prepared.models, self.category, self.settings)

    def run(self, out: Path) -> LearnedCategory:
        """Run all stages that are not done, and write the pack.

        Args:
            out: folder of the pack.

        Raises:
            SdfposeError: a stage failed, or another process works in the folder; the message says
                why.
            OSError: a file cannot be written.
        """
        with locked(self.work / _LOCK, "another process works in this folder"):
            return self._run(out)

    def _run(self, out: Path) -> LearnedCategory:
        self._check_space()
        decoder, shape_codes = self._decoder()
        reconstructions = self._reconstructions(decoder)
        codes = self._models(decoder, shape_codes)
        encoder = self._encoder(decoder, self._views(), codes)
        draft = write_pack(
            self.folder / "pack", self.category, {"decoder": decoder, "encoder": encoder}
        )
        packs = Packs.beside_shipped([draft.folder])
        figures = measure_category(
            packs,
            self.category.name,
            self.shapes.held_out,
            self.settings.cases,
            self.device,
            partial(self.progress, "validation"),
        )
        card = card_text(self.prepared, self.shapes, self.settings, figures)
        pictures = {
            ALIGNMENT_PICTURE: _picture(self.prepared.sheet),
            RECONSTRUCTIONS: reconstructions,
        }
        category = replace(self.category, confidence_shift=figures.confidence_shift)
        pack = write_pack(out, category, {}, draft, card=card, pictures=pictures)
        return LearnedCategory(pack, figures)

    def _check_space(self) -> None:
        """Check that intermediate files find space, before the work begins.

        Raises:
            ConfigurationError: they do not.
        """
        settings = self.settings
        shapes = settings.shapes + settings.blends
        needed = shapes * _SHAPE_BYTES + settings.views * _VIEW_BYTES
        self.folder.mkdir(parents=True, exist_ok=True)
        there = sum(
            x.stat().st_size
            for folder in (self.folder, self._samples)
            for x in folder.rglob("*")
            if x.is_file()
        )
        free = shutil.disk_usage(self.folder).free
        if free + there < needed:
            raise ConfigurationError(
                f"{self.work}: {free / 1e9:.2f} GB are free: expected "
                f"{(needed - there) / 1e9:.2f} GB more for intermediate files; free some space or "
                "choose another work folder"
            )

    def _decoder(self) -> tuple[SdfDecoder, Tensor]:
        """The decoder, and the codes (S, D) of its training shapes."""
        path, codes = self.folder / "decoder.safetensors", self.folder / "decoder.codes.safetensors"
        if not (path.exists() and codes.exists()):
            done, settings = 0, self.settings

            def sampled(name: str) -> None:
                nonlocal done
                done += 1
                self.progress("samples", min(done / len(self.shapes.training), 1.0))

            samples = sampled_shapes(
                self.shapes.training, (), settings.samples, self._samples, log=sampled
            ).training
            training = DecoderTraining(samples, settings.decoder, self.device)

            def trained(step: int, losses: dict[str, float]) -> None:
                self.progress("decoder", step / settings.decoder.steps)

            decoder = training.run(self.folder / "decoder.ckpt", trained)
            save_codes(codes, training.codes)
            decoder.save(path, self.category.name)
        self.progress("decoder", 1.0)
        return SdfDecoder.load(path, self.device), load_codes(codes)

    def _models(self, decoder: SdfDecoder, shape_codes: Tensor) -> Tensor:
        """Write the models of the views; return their codes (M, D)."""
        path, stored = self._models_file, self.folder / "models.codes.safetensors"
        if not (path.exists() and stored.exists()):
            blends = self.settings.blends
            total = len(self.shapes.training) + 2 * blends
            found = blended_models(
                decoder,
                shape_codes.to(self.device),
                blends,
                category=self.category.name,
                diagonal_m=self.category.diagonal_m,
                size_log_sd=self.category.diagonal_log_sd,
                progress=lambda done: self.progress("shapes", done / total),
            )
            models = [*self.shapes.training, *found]
            done = blends

            def fitted(name: str) -> None:
                nonlocal done
                done += 1
                self.progress("shapes", done / total)

            save_codes(stored, model_codes(models, decoder, fitted))
            save_models(path, models)
        self.progress("shapes", 1.0)
        return load_codes(stored)

    @property
    def _models_file(self) -> Path:
        return self.folder / "models.npz"

    def _views(self) -> Views:
        """Simulated views of the models."""
        total = self.settings.views
        categories = Categories({**default_categories(), self.category.name: self.category})
        pool = partial(_pool, self._models_file, self.category.name)
        files = [
            SimulatedViewFile(
                self.folder / f"views-{first // _PART_VIEWS:03d}.npz",
                self.category.name,
                first,
                min(_PART_VIEWS, total - first),
                pool,
                categories=categories,
            )
            for first in range(0, total, _PART_VIEWS)
        ]
        missing = [x for x in files if not x.path.exists()]
        done = len(files) - len(missing)
        self.progress("views", done / len(files))
        for _ in make_view_files(missing, min(self.workers, len(missing))):
            done += 1
            self.progress("views", done / len(files))
        return Views.cat([x.load() for x in files])

    def _encoder(self, decoder: SdfDecoder, views: Views, codes: Tensor) -> FastEncoder:
        path, config = self.folder / "encoder.safetensors", self.settings.encoder
        if not path.exists():
            training = EncoderTraining(
                [TrainingViews(views, codes, config.batch)],
                decoder.code_mean,
                decoder.code_covariance,
                self.category.diagonal_m,
                config,
                self.device,
            )

            def trained(step: int, losses: dict[str, float]) -> None:
                self.progress("encoder", step / config.steps)

            training.run(self.folder / "encoder.ckpt", trained).save(path, self.category.name)
        self.progress("encoder", 1.0)
        return FastEncoder.load(path, self.device)

    def _reconstructions(self, decoder: SdfDecoder) -> bytes:
        """The picture of held-out models and their reconstructions."""
        path = self.folder / RECONSTRUCTIONS
        if path.exists():
            return path.read_bytes()
        try:
            sheet = reconstruction_sheet(decoder, self.shapes.held_out[:_SHOWN], self.category, 4)
        except MeshError as error:
            raise MeshError(
                f"the decoder has not learned the shapes: {error}; look at "
                f"{self.prepared.sheet_file}, or train it for more steps"
            ) from error
        content = _picture(sheet)
        write_atomically(path, content)
        return content

    def _digest(self) -> str:
        """Digest of all that the networks depend on."""
        category = replace(self.category, labels=(), colour=(0, 0, 0))
        digest = hashlib.sha256(repr((_RECIPE, asdict(self.settings), asdict(category))).encode())
        for model in self.prepared.models:
            digest.update(model.name.encode())
            digest.update(np.ascontiguousarray(model.vertices).tobytes())
            digest.update(np.ascontiguousarray(model.faces).tobytes())
        return digest.hexdigest()[:12]


def _picture(image: NDArray[np.uint8]) -> bytes:
    """A small file of an image (H, W, 3), RGB."""
    shrink = min(_PICTURE_PX / max(image.shape), 1.0)
    small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".webp", small[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()


@cache
def _pool(path: Path, category: str) -> ModelPool:
    """The models of a file and some others; a worker process makes several files of views."""
    return ModelPool.with_models(category, load_models(path), 0, distractors=_DISTRACTORS)

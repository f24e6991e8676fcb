"""How many views of clutter there are to train on, and to validate on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sdfpose_core.mask_training.views import MaskViewFile
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.simulation.clutter import CLUTTER, EMPTY
from sdfpose_core.storage.configuration import check_at_least_one

__all__ = ["ClutterViews"]

_HELD_OUT_MODELS = 24
_HELD_OUT_SEED = 100_000


@dataclass(frozen=True)
class ClutterViews:
    """Files of views of clutter.

    Attributes:
        files: number of files of training views.
        views_per_file: number of views in each.
        models_per_file: number of procedural models of each category in each; every file has its
            own.
        empty_every: every so many files, one shows rooms without any object of a category.
        held_out: number of held-out views, of held-out models.

    Raises:
        ConfigurationError: a number is too small.
    """

    files: int = 32
    views_per_file: int = 250
    models_per_file: int = 12
    empty_every: int = 8
    held_out: int = 200

    def __post_init__(self) -> None:
        check_at_least_one(
            self, "files", "views_per_file", "models_per_file", "empty_every", "held_out"
        )

    def training_files(self, folder: Path) -> list[MaskViewFile]:
        """The files of training views in a folder."""
        per_file = self.models_per_file
        return [
            MaskViewFile(
                folder / f"{i:03d}.npy",
                seed=i,
                count=self.views_per_file,
                model_seeds=range(i * per_file, (i + 1) * per_file),
                style=EMPTY if (i + 1) % self.empty_every == 0 else CLUTTER,
            )
            for i in range(self.files)
        ]

    def held_out_file(self, folder: Path) -> MaskViewFile:
        """The file of held-out views in a folder."""
        models = range(HELD_OUT_SEED, HELD_OUT_SEED + _HELD_OUT_MODELS)
        return MaskViewFile(folder / "held_out.npy", _HELD_OUT_SEED, self.held_out, models)

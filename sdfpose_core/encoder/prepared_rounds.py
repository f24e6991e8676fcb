"""Colour views of prepared images for training the encoder `ssc6d`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.datasets.instances import StoredInstance, read_instances, read_truths
from sdfpose_core.datasets.nocs_preparation import prepared_files
from sdfpose_core.datasets.nocs_shapes import ModelSurfaces, prepared_codes, surfaces_file
from sdfpose_core.encoder.colour_views import ALL, ColourViews
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, colour_view
from sdfpose_core.errors import FrameError

__all__ = ["PreparedRounds", "labelled_rounds"]


class PreparedRounds:
    """Rounds of views of prepared instances with known poses.

    The views pass over all usable instances in random order, again and again. Each process reads
    only what it needs, so that the data may be larger than the memory.

    Args:
        files: files of the category's instances.
        models: surfaces of the models, by number; instances of other models are left out.
        count: views per round.
        config: network configuration.
        model_points: number M of surface points per view.
        seed: seed of the order and of the points.
        problems: receives one sentence for each unreadable file, and one for each reason to leave
            out instances.

    Attributes:
        instances: number of usable instances.

    Raises:
        FrameError: no instance can be used.
    """

    def __init__(
        self,
        files: Sequence[Path],
        models: ModelSurfaces,
        count: int,
        config: Ssc6dConfig,
        model_points: int,
        seed: int,
        problems: list[str],
    ) -> None:
        self.count = count
        self.config = config
        self.model_points = model_points
        self.seed = seed
        self._files = list(files)
        self._models = {name: i for i, name in enumerate(models.names)}
        self._surfaces = models.points
        self._rows = self._usable(problems)
        self._order: tuple[int, NDArray[np.int64]] | None = None

    @property
    def instances(self) -> int:
        """Number of usable instances."""
        return len(self._rows)

    def __call__(self, number: int, places: NDArray[np.integer] | slice = ALL) -> ColourViews:
        """Read the views at some places of a round.

        Raises:
            FrameError: a file has become unreadable.
        """
        views = number * self.count + np.arange(self.count)[places]
        rows = [self._row(int(x)) for x in views]
        rngs = [np.random.default_rng([self.seed, int(x)]) for x in views]
        items = self._read(rows)
        seen = [
            colour_view(x.instance, self.config.image_size, self.config.points, rng)
            for x, rng in zip(items, rngs, strict=True)
        ]
        truths = [x.truth for x in items if x.truth is not None]
        models = np.array([self._models[x.instance] for x in truths], dtype=np.int64)
        available = self._surfaces.shape[1]
        chosen = np.stack([rng.integers(available, size=self.model_points) for rng in rngs])
        return ColourViews(
            np.stack([x.colour for x in seen]),
            np.stack([x.points for x in seen]),
            np.stack([x.index for x in seen]),
            self._surfaces[models[:, None], chosen],
            np.stack([x.rotation for x in truths]).astype(np.float32),
            np.stack([x.translation for x in truths]).astype(np.float32),
            np.array([x.scale for x in truths], dtype=np.float32),
            models,
        )

    def _usable(self, problems: list[str]) -> NDArray[np.int32]:
        """Find the usable instances (N, 2): number of the file and row in it."""
        rows, reasons = [], dict.fromkeys(("no true pose", "an unknown model", "no colour"), 0)
        for number, path in enumerate(self._files):
            try:
                truths, coloured = read_truths(path)
            except FrameError as error:
                problems.append(f"{error}; skipped")
                continue
            for row, truth in enumerate(truths):
                if truth is None:
                    reasons["no true pose"] += 1
                elif truth.instance not in self._models:
                    reasons["an unknown model"] += 1
                elif not coloured[row]:
                    reasons["no colour"] += 1
                else:
                    rows.append((number, row))
        left_out = [f"{n} have {reason}" for reason, n in reasons.items() if n]
        total = len(rows) + sum(reasons.values())
        if left_out:
            problems.append(f"skipped instances: of {total}, {', '.join(left_out)}")
        if not rows:
            raise FrameError(
                f"{self._files[0].parents[1] if self._files else 'no files'}: none of {total} "
                f"instances can be used ({', '.join(left_out) or 'no file can be read'}): expected "
                "instances of known models with a true pose and colour; prepare the data "
                "with training/prepare_nocs.py"
            )
        return np.array(rows, dtype=np.int32)

    def _row(self, view: int) -> tuple[int, int]:
        """File and row of a view, counted from the start of the training."""
        number, place = divmod(view, len(self._rows))
        if self._order is None or self._order[0] != number:
            rng = np.random.default_rng([self.seed, number, len(self._rows)])
            self._order = number, rng.permutation(len(self._rows))
        file, row = self._rows[self._order[1][place]].tolist()
        return file, row

    def _read(self, rows: Sequence[tuple[int, int]]) -> list[StoredInstance]:
        """Read instances; each file is opened once."""
        wanted: dict[int, list[int]] = {}
        for file, row in rows:
            wanted.setdefault(file, []).append(row)
        found = {
            (file, row): item
            for file, of_file in wanted.items()
            for row, item in zip(
                of_file, read_instances(self._files[file], of_file, free_space=False), strict=True
            )
        }
        return [found[x] for x in rows]


def labelled_rounds(
    data: Path,
    part: str,
    category: str,
    decoder: Path,
    count: int,
    config: Ssc6dConfig,
    model_points: int,
    seed: int,
    problems: list[str],
) -> tuple[PreparedRounds, Tensor]:
    """Open prepared data for training: rounds of views, and the codes (S, D) of their models.

    Args:
        data: folder of the prepared data.
        part: part of the data, ``CAMERA/train``.
        category: category of the instances.
        decoder: decoder file to which the codes belong.
        count: views per round.
        config: network configuration.
        model_points: see `PreparedRounds`.
        seed: see `PreparedRounds`.
        problems: see `PreparedRounds`.

    Raises:
        FrameError: no instance can be used.
        MeshError: the models have no surfaces.
        WeightsError: the models have no codes for the decoder.
    """
    names, codes = prepared_codes(data, category, decoder)
    surfaces = ModelSurfaces.load(surfaces_file(data / "codes", category))
    usable = [i for i, name in enumerate(names) if name in surfaces.names]
    models = surfaces.select([names[i] for i in usable])
    files = prepared_files(data, part, category)
    rounds = PreparedRounds(files, models, count, config, model_points, seed, problems)
    return rounds, codes[usable]

"""Train auto-decoders: the network and the latent codes of its shapes are learned together.

See Park et al., "DeepSDF" (CVPR 2019, section 4.2). What all networks share is here: the samples of
each step, several processes, checkpoints, validation and the statistics of the codes. The network,
its loss and its optimiser are those of the subclasses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from sdfpose_core.errors import WeightsError
from sdfpose_core.learning.distributed import average_gradients, is_main_process, process_slice
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf
from sdfpose_core.sdf.fitting import Distances, fit_codes
from sdfpose_core.sdf.shape_decoder import ShapeDecoder, code_statistics
from sdfpose_core.shapes.sdf_samples import SdfSamples
from sdfpose_core.storage.checkpoint import load_checkpoint, save_checkpoint
from sdfpose_core.storage.configuration import check_at_least_one

__all__ = ["AutoDecoderConfig", "AutoDecoderTraining", "Progress", "validate_decoder"]

Progress = Callable[[int, dict[str, float]], None]
"""Callback that receives the step and the current losses or validation metrics."""

Network = TypeVar("Network", SdfDecoder, DeepSdf)


@dataclass(frozen=True)
class AutoDecoderConfig:
    """Configuration of the training of any decoder.

    Attributes:
        shapes_per_step: training shapes per step; all of them if there are fewer.
        points_per_shape: SDF samples per shape.
        checkpoint_every: steps between checkpoints.
        validate_every: steps between validations.
        seed: seed of initialisation and sampling.
    """

    shapes_per_step: int = 48
    points_per_shape: int = 256
    checkpoint_every: int = 500
    validate_every: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self, "shapes_per_step", "points_per_shape")
        check_at_least_one(self, "checkpoint_every", "validate_every")


class AutoDecoderTraining(ABC, Generic[Network]):
    """Training of an auto-decoder. An interrupted run resumes to the same result.

    Args:
        samples: SDF samples of each training shape, in equal number.
        config: training configuration.
        device: compute device.

    Attributes:
        decoder: network in training.
        codes: (S, D) latent codes of the training shapes.
        step: number of finished steps.
    """

    def __init__(
        self, samples: Sequence[SdfSamples], config: AutoDecoderConfig, device: torch.device
    ) -> None:
        self.config = config
        self.device = device
        self._points = torch.from_numpy(np.stack([s.points for s in samples])).to(device)
        self._sdf = torch.from_numpy(np.stack([s.sdf for s in samples])).to(device)
        self._generator = torch.Generator().manual_seed(config.seed)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            decoder, codes = self._initial(len(samples))
        self.decoder: Network = decoder.to(device)
        self.codes = torch.nn.Parameter(codes.to(device))
        self._optimiser_list = self._optimisers()
        self.step = 0

    @property
    @abstractmethod
    def steps(self) -> int:
        """Optimiser steps of the whole training."""

    @abstractmethod
    def _initial(self, shapes: int) -> tuple[Network, Tensor]:
        """Draw the initial network and codes (shapes, D) with the global generator."""

    @abstractmethod
    def _optimisers(self) -> list[torch.optim.Optimizer]:
        """Create the optimisers of network and codes. Groups store their peak learning rate."""

    @abstractmethod
    def _rate(self) -> float:
        """Learning rate of the present step, as a share of the peak learning rate."""

    @abstractmethod
    def _backward(self, shapes: Tensor, picks: Tensor) -> dict[str, float]:
        """Compute the gradients of a step's loss.

        Args:
            shapes: (B,) indices of the shapes of this process.
            picks: (B, N) indices of each shape's samples.

        Returns:
            The terms of the loss.
        """

    def _before_step(self, shapes: Tensor) -> None:
        """Prepare the codes of a step's shapes, those of all processes."""

    def _limit_gradients(self) -> None:
        """Limit the gradients before the optimisers use them."""

    def _used_codes(self) -> Tensor:
        """Return the codes (S, D) as the network sees them."""
        return self.codes.detach()

    def _finished(self) -> Network:
        """Return the network in the form in which it is used."""
        return self.decoder.eval()

    def run(
        self,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
        validation: Sequence[SdfSamples] = (),
    ) -> Network:
        """Train to the last step and return the decoder with its code statistics.

        Args:
            checkpoint: file to write checkpoints to, and to resume from if it exists.
            progress: called with the losses of every 50th step and of the last one, and with
                validation metrics.
            validation: samples of held-out shapes, in equal number.

        Raises:
            ConfigurationError: the shapes per step are not divisible by the number of processes.
            WeightsError: the checkpoint is damaged or belongs to another run.
        """
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)
        while self.step < self.steps:
            losses = self._train_step()
            self.step += 1
            if not is_main_process():
                continue
            if progress is not None and (self.step % 50 == 0 or self.step == self.steps):
                progress(self.step, losses)
            if validation and progress is not None and self.step % self.config.validate_every == 0:
                self._update_code_statistics()
                progress(self.step, validate_decoder(self.decoder, validation))
            if checkpoint is not None and self.step % self.config.checkpoint_every == 0:
                self._save(checkpoint)
        self._update_code_statistics()
        return self._finished()

    def _samples(self, shapes: Tensor, picks: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (B, N, 3) and distances (B, N), object units; see `_backward`."""
        return self._points[shapes[:, None], picks], self._sdf[shapes[:, None], picks]

    @torch.no_grad()
    def _update_code_statistics(self) -> None:
        mean, covariance = code_statistics(self._used_codes())
        self.decoder.code_mean.copy_(mean)
        self.decoder.code_covariance.copy_(covariance)

    def _train_step(self) -> dict[str, float]:
        rate = self._rate()
        for optimiser in self._optimiser_list:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate
            optimiser.zero_grad(set_to_none=True)
        count, total = min(self.config.shapes_per_step, len(self._points)), self._points.shape[1]
        shapes = torch.randperm(len(self._points), generator=self._generator)[:count]
        size = (count, self.config.points_per_shape)
        picks = torch.randint(total, size, generator=self._generator)
        self._before_step(shapes)
        mine = process_slice(count)
        losses = self._backward(shapes[mine], picks[mine])
        average_gradients([*self.decoder.parameters(), self.codes])
        self._limit_gradients()
        for optimiser in self._optimiser_list:
            optimiser.step()
        return losses

    def _save(self, path: Path) -> None:
        save_checkpoint(
            path,
            {
                "config": asdict(self.config),
                "step": self.step,
                "decoder": self.decoder.state_dict(),
                "codes": self.codes.detach(),
                "optimisers": [x.state_dict() for x in self._optimiser_list],
                "generator": self._generator.get_state(),
            },
        )

    def _load(self, path: Path) -> None:
        state = load_checkpoint(path)
        earlier, now = state.get("config", {}), asdict(self.config)
        changed = [key for key in now if earlier.get(key) != now[key]]
        if changed:
            raise WeightsError(
                f"{path}: the checkpoint belongs to another run ({changed[0]} was "
                f"{earlier.get(changed[0])} and is {now[changed[0]]}); delete it to train from "
                "scratch, or restore the configuration"
            )
        try:
            self.decoder.load_state_dict(state["decoder"])
            with torch.no_grad():
                self.codes.copy_(state["codes"])
            for optimiser, saved in zip(self._optimiser_list, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            self._generator.set_state(state["generator"])
            self.step = state["step"]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise WeightsError(
                f"{path}: the checkpoint belongs to another run ({error}); delete it to train from "
                "scratch"
            ) from error


def validate_decoder(decoder: ShapeDecoder, samples: Sequence[SdfSamples]) -> dict[str, float]:
    """Evaluate a decoder on shapes that it was not trained on.

    Codes are fitted to the first half of each shape's samples and evaluated on the other half.

    Returns:
        ``surface_error``: mean |f - sdf| of samples within 0.02 of the surface, object units;
        ``gradient_norm_error``: mean | |grad f| - 1 | there.
    """
    points = torch.from_numpy(np.stack([s.points for s in samples])).to(decoder.device)
    sdf = torch.from_numpy(np.stack([s.sdf for s in samples])).to(decoder.device)
    # Samples are shuffled, so both halves have the same distribution.
    half = min(points.shape[1] // 2, 3000)
    codes = fit_codes(decoder, Distances(points[:, :half], sdf[:, :half]))
    points, sdf = points[:, half : 2 * half], sdf[:, half : 2 * half]
    with torch.no_grad():
        value, gradient, _ = decoder.value_and_jacobian(points, codes)
    near = sdf.abs() < 0.02
    return {
        "surface_error": float((value - sdf).abs()[near].mean()),
        "gradient_norm_error": float((gradient.norm(dim=-1) - 1.0).abs()[near].mean()),
    }

"""Settings of the learning of a category."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sdfpose_core.category_learning.deformation import DeformationRange
from sdfpose_core.encoder.pretraining import EncoderTrainingConfig
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.sdf.training import DecoderTrainingConfig
from sdfpose_core.sdf.training_shapes import SampleCounts
from sdfpose_core.storage.configuration import check_at_least_one

__all__ = ["LearningSettings"]

_ALONE_DEFORMATION = 0.08
_ALONE_CODE_LENGTH = 4
_ALONE_SHAPES = 32
_ALONE_SIZE_RANGE = 1.03
"""For one model: nearly its exact shape and size, with as few degrees of freedom."""


@dataclass(frozen=True)
class LearningSettings:
    """Settings of the learning of a category; made for a dozen models and an hour.

    Attributes:
        shapes: training shapes of the decoder: the models and deformed ones.
        blends: further shapes of the encoder, decoded between the codes of two shapes.
        views: simulated views for the encoder.
        cases: simulated views of held-out models on which the poses are measured.
        hold_out_every: one in this many models is held out; at least 2.
        deformation: how large deformations are.
        samples: numbers of samples per shape of the decoder.
        decoder: training of the decoder.
        encoder: training of the encoder.
    """

    shapes: int = 360
    blends: int = 120
    views: int = 18_000
    cases: int = 100
    hold_out_every: int = 5
    deformation: DeformationRange = field(default_factory=DeformationRange)
    samples: SampleCounts = field(default_factory=SampleCounts)
    decoder: DecoderTrainingConfig = field(default_factory=DecoderTrainingConfig)
    encoder: EncoderTrainingConfig = field(
        default_factory=lambda: EncoderTrainingConfig(steps=4000)
    )

    def __post_init__(self) -> None:
        check_at_least_one(self, "shapes", "views", "cases")
        check_at_least_one(self.decoder, "steps", "shapes_per_step", "points_per_shape")
        check_at_least_one(self.encoder, "steps", "batch")
        if self.blends < 0:
            raise ConfigurationError(f"blends is {self.blends}: expected 0 or more")
        if self.hold_out_every < 2:
            raise ConfigurationError(
                f"hold_out_every is {self.hold_out_every}: expected at least 2, as something must "
                "be left to learn from"
            )

    @classmethod
    def quick(cls) -> LearningSettings:
        """Settings for a look: fewer shapes, views and steps."""
        return cls(
            shapes=96,
            blends=24,
            views=3000,
            cases=24,
            decoder=DecoderTrainingConfig(steps=1200),
            encoder=EncoderTrainingConfig(steps=700),
        )

    def for_one_model(self) -> LearningSettings:
        """Settings for a category of one model, whose shape and size are known."""
        return replace(
            self,
            shapes=min(self.shapes, _ALONE_SHAPES),
            blends=0,
            deformation=self.deformation.times(_ALONE_DEFORMATION),
            decoder=replace(
                self.decoder,
                decoder=replace(
                    self.decoder.decoder,
                    code_length=min(self.decoder.decoder.code_length, _ALONE_CODE_LENGTH),
                ),
            ),
            encoder=replace(self.encoder, size_range=_ALONE_SIZE_RANGE),
        )

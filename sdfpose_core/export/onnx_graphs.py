"""What is exported of each network: inputs, outputs, and what is said about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.errors import ExportError
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf

__all__ = ["OnnxGraph", "decoder_graphs", "encoder_graph"]

_SDF_TOLERANCE = 1e-4
"""Relative, as all of them: rounding."""

_TOLERANCE = 1e-3
"""Of derivatives, and of encoders, where a nearest neighbour may be taken for another."""

_RELU_TOLERANCE = 5e-2
"""Of derivatives that jump where a unit's input is zero."""

_CROP_STEP_PX = 48
"""The averages of PSPNet's pyramid are of equal parts where sides of crops are multiples of it."""

_CAMERA_UNITS = "metres, camera frame"
_OBJECT_UNITS = "normalised object units"

_POSE_OUTPUTS = {
    "rotation": ("B, K, 3, 3", "of each hypothesis, decoder frame to camera frame"),
    "translation": ("B, K, 3", _CAMERA_UNITS),
    "scale": ("B, K", "metres per normalised object unit"),
}


@dataclass(frozen=True)
class OnnxGraph:
    """What is exported, and what it is held against.

    Attributes:
        name: of the file, after the category.
        module: what is traced.
        reference: what it has to agree with, from the same tensors.
        examples: sensible inputs for a number of objects and of points.
        inputs: axes and meaning of each; those named B and N are of any length.
        outputs: likewise.
        tolerance: of the relative deviation.
        metadata: what a user of the file has to know.
    """

    name: str
    module: nn.Module
    reference: Callable[..., tuple[Tensor, ...]]
    examples: Callable[[int, int], tuple[Tensor, ...]]
    inputs: Mapping[str, tuple[str, str]]
    outputs: Mapping[str, tuple[str, str]]
    tolerance: float
    metadata: Mapping[str, str]

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Numbers and names of each tensor's axes that are of any length."""
        return {
            name: {i: axis for i, axis in enumerate(axes.split(", ")) if axis in ("B", "N")}
            for name, (axes, _) in (*self.inputs.items(), *self.outputs.items())
        }


class _Jacobian(nn.Module):
    """Signed distances and their derivatives."""

    def __init__(self, decoder: SdfDecoder | DeepSdf) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.decoder.value_and_jacobian(points, codes)


class _FastOutputs(nn.Module):
    """The encoder's outputs, with a median that ONNX can express."""

    def __init__(self, encoder: FastEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, points: Tensor, support: Tensor) -> tuple[Tensor, ...]:
        lower_half = points.topk((self.encoder.config.points + 1) // 2, dim=1, largest=False)
        return _fast_outputs(self.encoder.about(lower_half.values[:, -1], points, support))


class _Ssc6dOutputs(nn.Module):
    """What the encoder says that depends on its inputs."""

    def __init__(self, encoder: Ssc6dEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, colour: Tensor, points: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        encoding: Encoding = self.encoder(colour, points, index)
        found = encoding.similarity
        return found.rotation, found.translation, found.scale, encoding.codes


def _fast_outputs(encoding: Encoding) -> tuple[Tensor, ...]:
    found, spread = encoding.similarity, encoding.shape_spread
    assert spread is not None
    return (
        found.rotation,
        found.translation,
        found.scale,
        encoding.logits,
        encoding.log_spread,
        encoding.codes,
        spread.log_code,
        spread.log_size,
    )


def decoder_graphs(decoder: SdfDecoder | DeepSdf) -> list[OnnxGraph]:
    """Signed distances alone, and with their derivatives, of a decoder in evaluation mode."""

    def examples(objects: int, count: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(objects)
        points = 0.2 * torch.randn(objects, count, 3, generator=generator)
        noise = torch.randn(objects, len(decoder.code_mean), generator=generator)
        return points, decoder.code_mean + decoder.code_covariance.diagonal().sqrt() * noise

    inputs = {
        "points": ("B, N, 3", _OBJECT_UNITS),
        "codes": ("B, D", "latent codes"),
    }
    sdf = {"sdf": ("B, N", f"signed distances, {_OBJECT_UNITS}, negative inside")}
    jacobian = {
        "d_point": ("B, N, 3", "derivatives of sdf by the point"),
        "d_code": ("B, N, D", "derivatives of sdf by the code"),
    }
    facts = {
        "units": _OBJECT_UNITS,
        "code_length": str(decoder.config.code_length),
        "code_mean": json.dumps(decoder.code_mean.tolist()),
        "code_covariance": json.dumps(decoder.code_covariance.tolist()),
        "reach": str(decoder.reach),
    }
    relu = isinstance(decoder, DeepSdf)
    return [
        OnnxGraph(
            "decoder",
            decoder,
            lambda points, codes: (decoder(points, codes),),
            examples,
            inputs,
            sdf,
            _SDF_TOLERANCE,
            {"description": "signed distances of points for latent codes", **facts},
        ),
        OnnxGraph(
            "decoder_jacobian",
            _Jacobian(decoder).eval(),
            decoder.value_and_jacobian,
            examples,
            inputs,
            sdf | jacobian,
            _RELU_TOLERANCE if relu else _TOLERANCE,
            {"description": "signed distances and their derivatives by point and code", **facts},
        ),
    ]


def encoder_graph(encoder: FastEncoder | Ssc6dEncoder) -> OnnxGraph:
    """An encoder in evaluation mode.

    Raises:
        ExportError: ONNX cannot express it.
    """
    return _fast_graph(encoder) if isinstance(encoder, FastEncoder) else _ssc6d_graph(encoder)


def _fast_graph(encoder: FastEncoder) -> OnnxGraph:
    config, unit_m = encoder.config, float(encoder.unit)

    def examples(objects: int, _: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(objects)
        points = _surfaces(objects, config.points, unit_m, generator)
        # Planes that slant away from the camera under every second object.
        normal = torch.tensor([0.0, -0.8, -0.6])
        offset = points.mean(dim=1) @ normal - 0.4 * unit_m
        support = torch.cat([normal.expand(objects, 3), offset.unsqueeze(1)], dim=1)
        support[1::2] = 0.0
        return points, support

    return OnnxGraph(
        "encoder",
        _FastOutputs(encoder).eval(),
        lambda points, support: _fast_outputs(encoder(points, support)),
        examples,
        {
            "points": (f"B, {config.points}, 3", f"{_CAMERA_UNITS}, in random order"),
            "support": ("B, 4", "normal and offset (metres) of the support plane, zeros for none"),
        },
        {
            **_POSE_OUTPUTS,
            "logits": ("B, K", "unnormalised log weights of the hypotheses"),
            "log_spread": ("B, K, 3", "log spreads of y axis, x axis, translation (unit_m)"),
            "codes": ("B, D", "latent codes of the decoder"),
            "log_code": ("B, D", "log standard deviations of the code along code_axes"),
            "log_size": ("B", "log of the Laplace spread of the log scale"),
        },
        _TOLERANCE,
        {
            "description": "pose hypotheses, size and latent code of the points of objects",
            "units": _CAMERA_UNITS,
            "unit_m": f"{unit_m:.7g}",
            "code_length": str(config.code_length),
            "code_axes": json.dumps(encoder.code_axes.tolist()),
        },
    )


def _ssc6d_graph(encoder: Ssc6dEncoder) -> OnnxGraph:
    config = encoder.config
    size, count = config.image_size, config.points
    if size % _CROP_STEP_PX:
        raise ExportError(
            f"the encoder takes crops of {size} pixels: expected a multiple of {_CROP_STEP_PX}, "
            "else ONNX cannot express its averages over parts of the crop"
        )

    def examples(objects: int, _: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(objects)
        colour = torch.randint(256, (objects, size, size, 3), generator=generator)
        points = _surfaces(objects, count, 0.2, generator)
        index = torch.randint(size * size, (objects, count), generator=generator)
        return colour.float(), points, index

    return OnnxGraph(
        "encoder",
        _Ssc6dOutputs(encoder).eval(),
        _Ssc6dOutputs(encoder).eval(),
        examples,
        {
            "colour": (f"B, {size}, {size}, 3", "RGB, 0 to 255, crops round the objects"),
            "points": (f"B, {count}, 3", _CAMERA_UNITS),
            "index": (f"B, {count}", "int64, pixel of the crop, row by row, of each point"),
        },
        {**_POSE_OUTPUTS, "codes": ("B, D", "latent codes of the decoder")},
        _TOLERANCE,
        {
            "description": "pose, size and latent code of colour and points of objects",
            "units": _CAMERA_UNITS,
            "code_length": str(config.code_length),
        },
    )


def _surfaces(objects: int, count: int, size_m: float, generator: torch.Generator) -> Tensor:
    """Noisy points (B, N, 3), metres, camera frame, of spheres about a metre away."""
    centre = torch.tensor([0.1, -0.05, 0.9]) + 0.1 * torch.randn(objects, 1, 3, generator=generator)
    direction = nn.functional.normalize(torch.randn(objects, count, 3, generator=generator), dim=-1)
    noise = torch.randn(objects, count, 3, generator=generator)
    return centre + size_m * (0.4 * direction + 0.01 * noise)

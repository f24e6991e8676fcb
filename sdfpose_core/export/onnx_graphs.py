"""Graphs to export for each network: inputs, outputs and their descriptions."""

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
from sdfpose_core.masks.network import UNIT_PX, MaskNetwork
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf

__all__ = ["OnnxGraph", "decoder_graphs", "encoder_graph", "mask_graph"]

_SDF_TOLERANCE = 1e-4
"""Relative tolerance (like the others) of signed distances: rounding errors."""

_TOLERANCE = 1e-3
"""Tolerance of derivatives, and of encoders, in which rounding may swap nearest neighbours."""

_RELU_TOLERANCE = 5e-2
"""Tolerance of derivatives that jump where a unit's input is zero."""

_CROP_STEP_PX = 48
"""Crop sides must be multiples of this, so that PSPNet's pyramid averages equal parts."""

_DYNAMIC = ("B", "N", "H", "W")
"""Names of axes of any length."""

_CAMERA_UNITS = "metres, camera frame"
_OBJECT_UNITS = "normalised object units"

_POSE_OUTPUTS = {
    "rotation": ("B, K, 3, 3", "rotation of each hypothesis, decoder frame to camera frame"),
    "translation": ("B, K, 3", _CAMERA_UNITS),
    "scale": ("B, K", "metres per normalised object unit"),
}


@dataclass(frozen=True)
class OnnxGraph:
    """A graph to export and its reference.

    Attributes:
        name: name of the file, after the category if there is one.
        module: module to trace.
        reference: computes the expected outputs from the same tensors.
        examples: creates plausible inputs for given numbers of objects and points; for images, of
            images, and a number that their size grows with.
        inputs: axes and meaning of each input; axes named B, N, H and W have any length.
        outputs: axes and meaning of each output.
        tolerance: largest allowed relative deviation.
        metadata: metadata for users of the file.
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
        """Indices and names of each tensor's variable-length axes."""
        return {
            name: {i: axis for i, axis in enumerate(axes.split(", ")) if axis in _DYNAMIC}
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
    """The encoder's outputs that depend on its inputs."""

    def __init__(self, encoder: Ssc6dEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, colour: Tensor, points: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        encoding: Encoding = self.encoder(colour, points, index)
        pose = encoding.similarity
        return pose.rotation, pose.translation, pose.scale, encoding.codes


def _fast_outputs(encoding: Encoding) -> tuple[Tensor, ...]:
    pose, spread = encoding.similarity, encoding.shape_spread
    assert spread is not None
    return (
        pose.rotation,
        pose.translation,
        pose.scale,
        encoding.logits,
        encoding.log_spread,
        encoding.codes,
        spread.log_code,
        spread.log_size,
    )


def decoder_graphs(decoder: SdfDecoder | DeepSdf) -> list[OnnxGraph]:
    """Graphs of a decoder in evaluation mode: signed distances without and with derivatives."""

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
    """Graph of an encoder in evaluation mode.

    Raises:
        ExportError: ONNX cannot express the encoder.
    """
    return _fast_graph(encoder) if isinstance(encoder, FastEncoder) else _ssc6d_graph(encoder)


def _fast_graph(encoder: FastEncoder) -> OnnxGraph:
    config, unit_m = encoder.config, float(encoder.unit)

    def examples(objects: int, _: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(objects)
        points = _surfaces(objects, config.points, unit_m, generator)
        # Every second object has a tilted support plane below it.
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
            "description": "pose hypotheses, size and latent code from object points",
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
            "because ONNX cannot express its average pooling otherwise"
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
            "colour": (f"B, {size}, {size}, 3", "RGB, 0 to 255, crops around the objects"),
            "points": (f"B, {count}, 3", _CAMERA_UNITS),
            "index": (f"B, {count}", "int64, row-major pixel index of each point in the crop"),
        },
        {**_POSE_OUTPUTS, "codes": ("B, D", "latent codes of the decoder")},
        _TOLERANCE,
        {
            "description": "pose, size and latent code from object colour and points",
            "units": _CAMERA_UNITS,
            "code_length": str(config.code_length),
        },
    )


def mask_graph(network: MaskNetwork) -> OnnxGraph:
    """Graph of the mask network in evaluation mode."""

    def examples(images: int, size: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(images)
        height, width = 32 + 4 * (size // 8), 48 + 4 * (size // 8)
        colour = torch.randint(256, (images, 3, height, width), generator=generator).float()
        depth = 0.8 + 0.2 * torch.rand(images, 1, height, width, generator=generator)
        missing = torch.rand(images, 1, height, width, generator=generator) < 0.1
        depth[:, :, 8:20, 10:30] = 0.6
        return colour, depth.masked_fill(missing, 0.0), torch.full((images,), 60.0 + images)

    return OnnxGraph(
        "masks",
        network,
        network,
        examples,
        {
            "colour": ("B, 3, H, W", "RGB, 0 to 255, black if there is none"),
            "depth": ("B, 1, H, W", "metres, registered to colour, 0 where missing"),
            "focal": ("B", "focal length, pixels"),
        },
        {
            "foreground": ("B, 1, H, W", "logit that a pixel belongs to an object"),
            "seed": ("B, 1, H, W", "logit of how near the pixel's vote is to its object's centre"),
            "votes": ("B, D, H, W", "column, row, distance and free coordinates of the object"),
            "log_precision": ("B, 2, H, W", "log of the squared inverse radius of the votes"),
        },
        _TOLERANCE,
        {
            "description": "class-agnostic instance segmentation; H and W are even",
            "units": f"votes in {UNIT_PX:g} pixels",
            "free_coordinates": str(network.config.free),
        },
    )


def _surfaces(objects: int, count: int, size_m: float, generator: torch.Generator) -> Tensor:
    """Noisy points (B, N, 3), metres, camera frame, on spheres about a metre away."""
    centre = torch.tensor([0.1, -0.05, 0.9]) + 0.1 * torch.randn(objects, 1, 3, generator=generator)
    direction = nn.functional.normalize(torch.randn(objects, count, 3, generator=generator), dim=-1)
    noise = torch.randn(objects, count, 3, generator=generator)
    return centre + size_m * (0.4 * direction + 0.01 * noise)

"""Run the `fast` encoders of several categories in one pass.

An instance costs a few million multiplications, less time than PyTorch needs to launch a hundred
operations. So each layer is one operation for all instances, with stacked weights, and anything
that a neighbouring layer can absorb has no operation of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from threading import local

import torch
from torch import Tensor, nn
from torch.nn import functional

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.fast import (
    POSE_OUTPUTS,
    EncoderView,
    FastEncoder,
    patches,
    support_features,
)

__all__ = ["JointEncoder"]


class JointEncoder:
    """Evaluate `FastEncoder.forward` of each instance's category, without gradients.

    Thread-safe.

    Args:
        encoders: encoders of the same architecture, on one device. Later changes of their weights
            have no effect.
    """

    @torch.no_grad()
    def __init__(self, encoders: Sequence[FastEncoder]) -> None:
        self._encoders = encoders
        self.config = encoders[0].config
        self._units = torch.stack([x.unit for x in encoders])
        each = [list(_layers(x)) for x in encoders]
        self._shapes = [x.shape for x in each[0]]
        self._weights = torch.stack([torch.cat([w.flatten() for w in x]) for x in each])
        self._local = local()

    @torch.inference_mode()
    def __call__(self, points: Tensor, support: Tensor, of_row: Sequence[int]) -> list[Encoding]:
        """Predict hypotheses, one `Encoding` per encoder that occurs.

        Args:
            points: (B, N, 3), metres, camera frame; N as in the networks' configuration.
            support: (B, 4), as in `FastEncoder.forward`.
            of_row: B encoder indices, one per instance, in ascending order.
        """
        groups = [(i, len(list(x))) for i, x in groupby(of_row)]
        if len({n for _, n in groups}) != 1:  # each instance has its own weights
            groups = [(i, 1) for i in of_row]
        units = self._units[torch.tensor(of_row, device=points.device)].view(-1, 1, 1)
        view = EncoderView.of(points.median(dim=1).values, points, support, units)
        pose, shape = self._network(view, [i for i, _ in groups])
        encodings, row = [], 0
        for i, members in groupby(of_row):
            rows = slice(row, row + len(list(members)))
            row = rows.stop
            part = EncoderView(*(x[rows] for x in vars(view).values()))
            encodings.append(self._encoders[i].encoding(part, pose[rows], shape[rows]))
        return encodings

    def _network(self, view: EncoderView, groups: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Raw outputs (B, K, 13) and (B, 2 D + 2) of B instances in groups of equal size.

        Args:
            view: network input of the instances.
            groups: encoder indices, one per group.
        """
        config = self.config
        batch, count = len(view.local), config.patches
        weights = self._layer_weights(groups)

        def linear(x: Tensor) -> Tensor:
            """Apply the next linear layer: (B, ..., n) -> (B, ..., m)."""
            weight, bias = next(weights), next(weights)
            rows = x.reshape(len(groups), -1, x.shape[-1])
            return torch.baddbmm(bias, rows, weight).view(*x.shape[:-1], -1)

        def perceptron(x: Tensor) -> Tensor:
            """Apply two linear layers with a nonlinearity in between."""
            return linear(functional.silu(linear(x), inplace=True))

        centres, features = patches(view.local, view.plane, count, config.patch_points)
        features = perceptron(features)
        pooled = torch.cat([features.amax(dim=2), features.mean(dim=2)], dim=-1)
        tokens = perceptron(functional.silu(pooled, inplace=True)) + perceptron(centres)
        support = perceptron(support_features(view.plane)).unsqueeze(1)
        tokens = torch.cat([tokens, support], dim=1)
        heads = (batch, count + 1, 3, config.heads, config.width // config.heads)
        for _ in range(config.layers):
            qkv = linear(_normalised(tokens)).view(heads).permute(2, 0, 3, 1, 4)
            attended = functional.scaled_dot_product_attention(*qkv)
            tokens = tokens + linear(attended.transpose(1, 2).reshape(tokens.shape))
            tokens = tokens + linear(functional.gelu(linear(_normalised(tokens))))
        scale, shift = next(weights), next(weights)
        tokens = _normalised(tokens).view(len(groups), -1, config.width)
        tokens = torch.addcmul(shift, tokens, scale).view(batch, count + 1, config.width)
        summary = torch.cat([tokens.amax(dim=1), tokens.mean(dim=1)], dim=-1)
        outputs = perceptron(summary)
        poses = config.hypotheses * POSE_OUTPUTS
        return outputs[:, :poses].view(batch, -1, POSE_OUTPUTS), outputs[:, poses:]

    def _layer_weights(self, groups: Sequence[int]) -> Iterator[Tensor]:
        """Weights and biases of the layers, in order of use."""
        if len(groups) == 1:
            chosen = self._weights[groups[0] : groups[0] + 1]
        else:
            index = torch.tensor(groups, device=self._weights.device)
            chosen = torch.index_select(self._weights, 0, index, out=self._buffer(len(groups)))
        parts = chosen.split([math.prod(x) for x in self._shapes], dim=1)
        return (part.view(-1, *shape) for part, shape in zip(parts, self._shapes, strict=True))

    def _buffer(self, count: int) -> Tensor:
        """Reusable memory for the weights of `count` groups: allocating takes longer than copying.

        Each thread has its own.
        """
        buffer: Tensor | None = getattr(self._local, "buffer", None)
        if buffer is None or len(buffer) < count:
            buffer = self._local.buffer = self._weights.new_empty(count, self._weights.shape[1])
        return buffer[:count]


def _layers(encoder: FastEncoder) -> Iterator[Tensor]:
    """Weights (n, m) and biases (1, m) in the order of `JointEncoder._network`."""
    for part in (encoder.patch, encoder.patch_mix, encoder.position, encoder.support):
        for layer in part:
            if isinstance(layer, nn.Linear):
                yield from _weight_and_bias(layer.weight, layer.bias)
    for block in encoder.transformer.layers:
        assert isinstance(block, nn.TransformerEncoderLayer)
        attention = block.self_attn
        yield from _with_norm(block.norm1, attention.in_proj_weight, attention.in_proj_bias)
        yield from _weight_and_bias(attention.out_proj.weight, attention.out_proj.bias)
        yield from _with_norm(block.norm2, block.linear1.weight, block.linear1.bias)
        yield from _weight_and_bias(block.linear2.weight, block.linear2.bias)
    yield encoder.norm.weight[None]
    yield encoder.norm.bias[None]
    trunk = encoder.trunk[0]
    assert isinstance(trunk, nn.Linear)
    yield from _weight_and_bias(trunk.weight, trunk.bias)
    heads = (encoder.pose_head, encoder.shape_head)
    yield from _weight_and_bias(
        torch.cat([x.weight for x in heads]), torch.cat([x.bias for x in heads])
    )


def _weight_and_bias(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    return weight.T, bias[None]


def _with_norm(norm: nn.LayerNorm, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Fold the scale and shift of the preceding layer norm into a linear layer."""
    return _weight_and_bias(weight * norm.weight, bias + weight @ norm.bias)


def _normalised(tokens: Tensor) -> Tensor:
    return functional.layer_norm(tokens, tokens.shape[-1:])

"""Encoders of several categories as one network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.fast import FastEncoder, FastEncoderConfig
from sdfpose_core.encoder.joint_encoder import JointEncoder

CONFIG = FastEncoderConfig(
    code_length=6, points=65, patches=8, patch_points=6, width=16, layers=2, heads=2, hypotheses=3
)


@pytest.fixture(scope="module")
def encoders():
    """Three networks, in which nothing is 0 or 1 as it is at the start of training."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        made = [FastEncoder(CONFIG, unit_m=0.1 * (i + 1)).eval() for i in range(3)]
        for x in made:
            for weight in x.parameters():
                weight += 0.1 * torch.randn_like(weight)
            x.code_mean.normal_()
            x.code_sd.uniform_(0.5, 2.0)
        return made


def seen(count):
    """Points and supports of instances; the first has no support."""
    generator = torch.Generator().manual_seed(1)
    points = 0.08 * torch.randn(count, CONFIG.points, 3, generator=generator)
    normal = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    support = torch.cat([normal, torch.full((count, 1), 0.3)], dim=1)
    support[0] = 0.0
    return points + torch.tensor([0.1, -0.2, 0.8]), support


def numbers(said: Encoding) -> list[torch.Tensor]:
    """All that was said."""
    pose, spread = said.similarity, said.shape_spread
    return [
        pose.rotation, pose.translation, pose.scale, said.logits, said.log_spread, said.codes,
        spread.code_precision, spread.log_size_sd,
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [[1], [2, 2], [0, 2], [0, 0, 2, 2], [0, 1, 1, 2], [0, 0, 0, 1]])
def test_each_instance_is_told_what_its_own_network_says(encoders, rows):
    points, support = seen(len(rows))
    joint = JointEncoder(encoders)
    for _ in range(2):  # the second time, weights lie in memory that was used before
        said = joint(points, support, rows)
        assert len(said) == len(set(rows))
        for number, one in zip(dict.fromkeys(rows), said, strict=True):
            mine = torch.tensor(rows) == number
            with torch.inference_mode():
                alone = encoders[number](points[mine], support[mine])
            for a, b in zip(numbers(one), numbers(alone), strict=True):
                torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-5)


def test_more_instances_than_before_have_room(encoders):
    joint = JointEncoder(encoders)
    few = joint(*seen(2), [0, 1])
    before = [x.clone() for x in numbers(few[0])]
    joint(*seen(3), [0, 1, 2])
    for a, b in zip(numbers(few[0]), before, strict=True):
        assert torch.equal(a, b)  # what was said does not lie where the weights do


def test_weights_that_change_are_not_seen(encoders):
    joint = JointEncoder(encoders[:1])
    before = joint(*seen(1), [0])[0]
    changed = FastEncoder(replace(CONFIG), unit_m=0.1)
    changed.load_state_dict(encoders[0].state_dict())
    joint = JointEncoder([changed])
    torch.nn.init.zeros_(changed.pose_head.weight)
    torch.testing.assert_close(joint(*seen(1), [0])[0].logits, before.logits)

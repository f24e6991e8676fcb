"""The optimiser of hidden matrices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.learning.muon import Muon, orthogonalised


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    seed=st.integers(0, 2**16),
    scale=st.floats(1e-3, 1e3),
)
def test_singular_vectors_stay_and_singular_values_become_one(height, width, seed, scale):
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (2, max(height, width), min(height, width))
    u = torch.linalg.qr(torch.randn(shape, generator=generator))[0]
    v = torch.linalg.qr(torch.randn((2, shape[2], shape[2]), generator=generator))[0]
    values = torch.rand((2, 1, shape[2]), generator=generator) * 0.9 + 0.1
    matrices = scale * (u * values) @ v.mT
    matrices = matrices if height >= width else matrices.mT
    found = torch.linalg.svdvals(orthogonalised(matrices))
    assert (found > 0.6).all()
    assert (found < 1.25).all()
    diagonal = (u.mT if height >= width else v.mT) @ orthogonalised(matrices)
    diagonal = diagonal @ (v if height >= width else u)
    rest = diagonal - torch.diag_embed(torch.diagonal(diagonal, dim1=1, dim2=2))
    assert rest.abs().max() < 1e-3


def test_a_matrix_of_zeros_stays_one(device):
    assert not orthogonalised(torch.zeros(1, 3, 4, device=device)).any()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch is older than 2.9")
def test_steps_are_those_of_torch(device):
    generator = torch.Generator("cpu").manual_seed(0)
    shapes = [(8, 8), (16, 4), (8, 8), (4, 16)]
    ours, theirs = (
        [torch.nn.Parameter(torch.ones(x, device=device) * (i + 1)) for i, x in enumerate(shapes)]
        for _ in range(2)
    )
    optimisers = [
        Muon([{"params": ours, "lr": 0.1}], weight_decay=0.02),
        torch.optim.Muon([{"params": theirs, "lr": 0.1}], weight_decay=0.02),
    ]
    for _ in range(3):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=generator).to(device)
            b.grad = a.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=0.01, rtol=0.0)


def test_parameters_without_a_gradient_stay(device):
    parameter = torch.nn.Parameter(torch.ones(3, 3, device=device))
    Muon([{"params": [parameter], "lr": 0.1}], weight_decay=0.5).step()
    assert (parameter == 1.0).all()


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(device):
    def start() -> tuple[torch.nn.Parameter, Muon]:
        parameter = torch.nn.Parameter(torch.ones(3, 5, device=device))
        return parameter, Muon([{"params": [parameter], "lr": 0.1}], weight_decay=0.0)

    def train(parameter: torch.nn.Parameter, optimiser: Muon, steps: range) -> None:
        for i in steps:
            parameter.grad = torch.cos(torch.arange(15.0, device=device) * (i + 1)).reshape(3, 5)
            optimiser.step()

    whole, optimiser = start()
    train(whole, optimiser, range(4))
    part, optimiser = start()
    train(part, optimiser, range(2))
    state = optimiser.state_dict()
    resumed, optimiser = start()
    resumed.data.copy_(part.data)
    optimiser.load_state_dict(state)
    train(resumed, optimiser, range(2, 4))
    torch.testing.assert_close(resumed, whole, atol=0.0, rtol=0.0)

"""Nearest neighbours and the Chamfer distance."""

from __future__ import annotations

import pytest
import torch
from scipy.spatial import cKDTree

from sdfpose_core.errors import ShapeError
from sdfpose_core.geometry import neighbours
from sdfpose_core.geometry.neighbours import chamfer_distance, nearest_neighbours


def clouds(device: torch.device, n: int = 50, m: int = 70) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(2, n, 3, generator=generator, dtype=torch.float64)
    b = torch.rand(2, m, 3, generator=generator, dtype=torch.float64)
    return a.to(device), b.to(device)


def test_agrees_with_a_search_tree(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_CHUNK", 16)
    a, b = clouds(device)
    squared, index = nearest_neighbours(a, b)
    for i in range(len(a)):
        distance, expected = cKDTree(b[i].cpu().numpy()).query(a[i].cpu().numpy())
        assert index[i].tolist() == expected.tolist()
        torch.testing.assert_close(squared[i].cpu().sqrt(), torch.from_numpy(distance))


def test_chamfer_of_a_hand_computed_case(device: torch.device) -> None:
    a = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]], device=device)
    b = torch.tensor([[[0.0, 2.0, 0.0]]], device=device)
    # a to b: (4 + 5) / 2; b to a: 4.
    torch.testing.assert_close(chamfer_distance(a, b), torch.tensor([8.5], device=device))
    assert chamfer_distance(a, a).item() == 0.0


def test_gradients(device: torch.device) -> None:
    a, b = clouds(device, 6, 5)
    a.requires_grad_()
    b.requires_grad_()
    assert torch.autograd.gradcheck(chamfer_distance, (a, b))


@pytest.mark.parametrize(
    ("first", "second"), [((3, 3), (1, 3, 3)), ((1, 4, 3), (1, 0, 3)), ((2, 4, 3), (1, 4, 3))]
)
def test_shapes_that_do_not_fit(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected \\(B, N, 3\\)"):
        nearest_neighbours(torch.zeros(first), torch.zeros(second))

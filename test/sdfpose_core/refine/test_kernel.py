import pytest
import torch

from sdfpose_core.refine.kernel import GemanMcClureKernel


@pytest.mark.parametrize("width", [0.5, 3.0])
def test_the_weight_is_the_derivative_of_the_loss(width):
    kernel = GemanMcClureKernel(width)
    squared = torch.linspace(0.0, 50.0, 40, dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(kernel.loss(squared).sum(), squared)
    torch.testing.assert_close(kernel.weight(squared), derivative)


def test_small_residuals_count_in_full_and_large_ones_no_more_than_the_bound():
    kernel = GemanMcClureKernel(3.0)
    squared = torch.tensor([1e-6, 9.0, 1e12], dtype=torch.float64)
    assert kernel.loss(squared).tolist() == pytest.approx([1e-6, 4.5, 9.0], rel=1e-5)
    assert kernel.weight(squared).tolist() == pytest.approx([1.0, 0.25, 0.0], abs=1e-5)

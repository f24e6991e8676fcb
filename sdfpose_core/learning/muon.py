"""The optimiser Muon: momentum, orthogonalised (Jordan et al., 2024).

The same as `torch.optim.Muon`, with two differences: matrices of equal shape are orthogonalised
together, and in single precision where the device has no units for bfloat16. On such processors
that of torch takes twice the time of the rest of a training step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon", "orthogonalised"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices with the same singular vectors, and singular values near 1 (0.7 to 1.2).

    Five Newton-Schulz iterations of fifth order, with coefficients that grow small singular values
    fast (https://kellerjordan.github.io/posts/muon).

    Args:
        matrices: (B, N, M), on any device.

    Returns:
        (B, N, M), in bfloat16 on a GPU, as they were otherwise.
    """
    a, b, c = _COEFFICIENTS
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for hidden matrices, with Nesterov's momentum.

    Args:
        groups: of parameters, all of them matrices; each with its ``lr``: the change of a matrix
            has singular values near the learning rate, more by the root of height by width where it
            is higher than wide.
        weight_decay: of all, apart from the gradient, times the learning rate.
        momentum: share of the last direction that is kept.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(groups, {"lr": 1e-3, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; there is no use for a closure."""
        assert closure is None
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for shape, parameters in alike.items():
                directions = torch.stack(
                    [self._direction(x, group["momentum"]) for x in parameters]
                )
                steps = orthogonalised(directions)
                rate = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for parameter, step in zip(parameters, steps, strict=True):
                    parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                    parameter.add_(step, alpha=-rate)

    def _direction(self, parameter: Tensor, momentum: float) -> Tensor:
        """The gradient with momentum, and the step that momentum will take from there."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        kept: Tensor = state["momentum_buffer"]
        kept.lerp_(parameter.grad, 1.0 - momentum)
        return parameter.grad.lerp(kept, momentum)

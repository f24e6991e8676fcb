import torch

from sdfpose_core.refine.damping import MarquardtDamping


def test_damping_falls_after_success_and_rises_after_rejection():
    damping = MarquardtDamping(initial=0.1, fall=0.5, rise=4.0)
    start = damping.start(torch.zeros(2))
    torch.testing.assert_close(start, torch.full((2,), 0.1))
    changed = damping.update(start, torch.tensor([True, False]))
    torch.testing.assert_close(changed, torch.tensor([0.05, 0.4]))


def test_damping_stays_within_its_bounds():
    damping = MarquardtDamping(floor=1e-3, ceiling=10.0)
    low = high = damping.start(torch.zeros(1))
    for _ in range(50):
        low = damping.update(low, torch.tensor([True]))
        high = damping.update(high, torch.tensor([False]))
    torch.testing.assert_close(low, torch.tensor([1e-3]))
    torch.testing.assert_close(high, torch.tensor([10.0]))


def test_the_diagonal_grows_in_proportion():
    hessian = torch.tensor([[[2.0, 1.0], [1.0, 4.0]]])
    damped = MarquardtDamping().apply(hessian, torch.tensor([0.5]))
    torch.testing.assert_close(damped, torch.tensor([[[3.0, 1.0], [1.0, 6.0]]]))

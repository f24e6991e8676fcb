import torch

from sdfpose_core.refine.evidence import FreeSpaceMap

FOCAL, CENTRE = 100.0, 10.0


def wall_and_object():
    """A wall at 1 m behind an object that fills the columns up to 8 of 20, at 0.6 m."""
    column = torch.arange(20, dtype=torch.float64).expand(1, 20, 20)
    return FreeSpaceMap(
        torch.where(column <= 8.0, torch.full_like(column, 0.6), torch.ones_like(column)),
        (column - 8.0).clamp(min=0.0),
        torch.tensor([FOCAL], dtype=torch.float64),
        torch.full((1, 2), CENTRE, dtype=torch.float64),
        torch.tensor([0.01], dtype=torch.float64),
    )


def at(column, row, z):
    """The point (1, 1, 3) at that depth on the ray through a cell."""
    x, y = (column - CENTRE) / FOCAL * z, (row - CENTRE) / FOCAL * z
    return torch.tensor([[[x, y, z]]], dtype=torch.float64)


def intrusion(*place):
    depth, toward = wall_and_object().intrusion(at(*place))
    return depth.item(), toward[0, 0]


def test_before_the_object_the_way_out_is_along_the_ray():
    depth, toward = intrusion(4.3, 9.7, 0.55)
    assert abs(depth - 0.05) < 1e-9
    assert toward.tolist() == [0.0, 0.0, -1.0]


def test_beside_the_object_the_shorter_way_counts():
    depth, toward = intrusion(12.0, 9.7, 0.5)  # four cells of 5 mm from it, half a metre before
    assert abs(depth - 0.02) < 1e-9
    assert abs(toward[0].item() - 1.0) < 1e-9
    depth, toward = intrusion(12.0, 9.7, 0.99)  # just before the wall
    assert abs(depth - 0.01) < 1e-9
    assert toward.tolist() == [0.0, 0.0, -1.0]


def test_what_is_behind_the_measurement_may_be_there():
    assert intrusion(4.0, 9.0, 0.7)[0] == 0.0
    assert intrusion(14.0, 9.0, 1.1)[0] == 0.0
    assert not intrusion(14.0, 9.0, 1.1)[1].any()


def test_where_nothing_was_measured_nothing_is_known():
    free = wall_and_object()
    free.depth[:] = 0.0
    assert free.intrusion(at(12.0, 9.0, 0.5))[0].item() == 0.0


def test_points_that_the_window_does_not_show_are_looked_up_at_its_edge():
    inside, outside = intrusion(19.0, 9.0, 0.5)[0], intrusion(60.0, 9.0, 0.5)[0]
    assert abs(inside - outside) < 1e-9
    assert torch.isfinite(wall_and_object().intrusion(at(4.0, 4.0, -0.3))[0]).all()


def test_the_derivatives_by_the_points():
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(60, 3, generator=generator, dtype=torch.float64)
    points = torch.cat(
        [at(3.0 + 15.0 * a, 3.0 + 15.0 * b, 0.4 + 0.55 * c) for a, b, c in places], 1
    )
    free = wall_and_object()
    depth, toward = free.intrusion(points)
    assert 20 < (depth > 0.0).sum() < 60
    expected = torch.autograd.functional.jacobian(lambda p: free.intrusion(p)[0][0], points)
    torch.testing.assert_close(toward[0], torch.stack([expected[i, 0, i] for i in range(60)]))

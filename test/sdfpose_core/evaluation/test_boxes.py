import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sdfpose_core.evaluation import OrientedBox, oriented_iou, symmetric_iou

seeds = st.integers(0, 2**31)
lengths = st.floats(0.02, 2.0)
sides = st.tuples(lengths, lengths, lengths).map(np.array)
near = st.tuples(*[st.floats(-0.5, 0.5)] * 3).map(np.array)


def random_rotation(seed):
    return Rotation.random(random_state=seed).as_matrix()


def cube(side=1.0, at=(0.0, 0.0, 0.0), rotation=None):
    rotation = np.eye(3) if rotation is None else rotation
    return OrientedBox(rotation, np.array(at), np.full(3, side))


def random_boxes(seed, count):
    rng = np.random.default_rng(seed)
    return OrientedBox(
        Rotation.random(count, random_state=seed).as_matrix(),
        rng.normal(0.0, 0.1, (count, 3)),
        rng.uniform(0.1, 0.5, (count, 3)),
    )


class TestClosedForms:
    @pytest.mark.parametrize(
        ("other", "expected"),
        [
            (cube(), 1.0),
            (cube(at=(0.5, 0.0, 0.0)), 1 / 3),
            (cube(at=(0.5, -0.5, 0.0)), 0.25 / 1.75),
            (cube(at=(0.5, 0.5, 0.5)), 0.125 / 1.875),
            (cube(2.0), 1 / 8),
            (cube(0.5, (0.25, 0.25, 0.25)), 1 / 8),  # inside, three faces coincide
            (cube(at=(1.0, 0.0, 0.0)), 0.0),  # the faces touch
            (cube(at=(1.0, 1.0, 1.0)), 0.0),  # the corners touch
            (cube(at=(0.0, 5.0, 0.0)), 0.0),
        ],
    )
    @pytest.mark.parametrize("seed", [None, 0, 1])
    def test_cubes(self, other, expected, seed):
        motion = np.eye(3) if seed is None else random_rotation(seed)
        moved = [
            OrientedBox(motion @ x.rotation, motion @ x.translation + 0.3, x.dimensions_m)
            for x in (cube(), other)
        ]
        assert oriented_iou(*moved) == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("degrees", [0.0, 1e-5, 10.0, 45.0, 90.0, 180.0])
    def test_squares_turned_about_their_axis(self, degrees):
        """Two unit squares, turned by a, share an octagon of area 2 / (1 + sin a + cos a)."""
        angle = np.radians(degrees % 90.0)
        area = 2.0 / (1.0 + np.sin(angle) + np.cos(angle))
        turned = cube(rotation=Rotation.from_euler("y", degrees, degrees=True).as_matrix())
        assert oriented_iou(cube(), turned) == pytest.approx(area / (2.0 - area), abs=1e-9)

    def test_a_corner_cut_off(self):
        """A large box whose face passes through three corners of the unit cube."""
        z = np.ones(3) / np.sqrt(3.0)
        x = np.array([1.0, -1.0, 0.0]) / np.sqrt(2.0)
        rotation = np.stack([x, np.cross(z, x), z], axis=1)
        # The plane x + y + z = 1/2 cuts a corner tetrahedron of volume 1/6 off the unit cube.
        big = OrientedBox(rotation, z * (0.5 / np.sqrt(3.0) + 5.0), np.full(3, 10.0))
        overlap = 1.0 / 6.0
        assert oriented_iou(cube(), big) == pytest.approx(
            overlap / (1.0 + 1000.0 - overlap), rel=1e-8
        )

    def test_crossed_beams(self):
        a = OrientedBox(np.eye(3), np.zeros(3), np.array([3.0, 1.0, 1.0]))
        b = OrientedBox(np.eye(3), np.zeros(3), np.array([1.0, 1.0, 3.0]))
        assert oriented_iou(a, b) == pytest.approx(1 / 5, abs=1e-9)


class TestProperties:
    @given(seeds, near, sides)
    def test_one_for_itself(self, seed, centre, dimensions):
        box = OrientedBox(random_rotation(seed), centre, dimensions)
        assert oriented_iou(box, box) == pytest.approx(1.0, abs=1e-9)

    @given(seeds, sides, sides, near)
    def test_symmetric_and_in_range(self, seed, first, second, offset):
        a = OrientedBox(random_rotation(seed), np.zeros(3), first)
        b = OrientedBox(random_rotation(seed + 1), offset, second)
        iou = oriented_iou(a, b)
        assert 0.0 <= iou <= 1.0
        assert iou == pytest.approx(oriented_iou(b, a), abs=1e-7)

    @given(seeds, sides, sides, near)
    def test_invariant_under_rigid_motion(self, seed, first, second, offset):
        a = OrientedBox(np.eye(3), np.zeros(3), first)
        b = OrientedBox(random_rotation(seed), offset, second)
        motion, shift = random_rotation(seed + 1), np.array([0.2, -0.4, 1.3])
        moved = [
            OrientedBox(motion @ x.rotation, motion @ x.translation + shift, x.dimensions_m)
            for x in (a, b)
        ]
        assert oriented_iou(*moved) == pytest.approx(oriented_iou(a, b), abs=1e-7)

    @given(seeds, sides, near)
    def test_renaming_the_axes_of_a_box_changes_nothing(self, seed, dimensions, offset):
        a = OrientedBox(np.eye(3), np.zeros(3), np.array([0.3, 0.7, 1.1]))
        rotation = random_rotation(seed)
        b = OrientedBox(rotation, offset, dimensions)
        cycled = OrientedBox(rotation[:, [1, 2, 0]], offset, dimensions[[1, 2, 0]])
        assert oriented_iou(a, cycled) == pytest.approx(oriented_iou(a, b), abs=1e-7)

    @given(seeds, st.floats(-14.0, -2.0))
    @settings(max_examples=200)
    def test_nearly_parallel_boxes(self, seed, exponent):
        """The hard case of clipping: faces that all but coincide."""
        axis = np.random.default_rng(seed).normal(size=3)
        tilt = 10.0**exponent
        turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * tilt).as_matrix()
        rotation = random_rotation(seed)
        a = OrientedBox(rotation, np.zeros(3), np.array([0.4, 0.2, 0.3]))
        b = OrientedBox(rotation @ turn, np.zeros(3), np.array([0.4, 0.2, 0.3]))
        assert oriented_iou(a, b) == pytest.approx(1.0, abs=1e-5 + 5.0 * tilt)


def test_agrees_with_monte_carlo():
    a, b = random_boxes(1, 100), random_boxes(2, 100)
    rng = np.random.default_rng(0)
    points = (rng.random((100, 50_000, 3)) - 0.5) * a.dimensions_m[:, None]
    points = points @ np.swapaxes(a.rotation, 1, 2) + (a.translation - b.translation)[:, None]
    inside = np.all(np.abs(points @ b.rotation) <= 0.5 * b.dimensions_m[:, None], axis=-1)
    overlap = inside.mean(axis=1) * a.volume
    expected = overlap / (a.volume + b.volume - overlap)
    np.testing.assert_allclose(oriented_iou(a, b), expected, atol=1e-2)


def test_batches_broadcast():
    many = random_boxes(3, 4)
    one = OrientedBox(many.rotation[1], many.translation[1], many.dimensions_m[1])
    iou = oriented_iou(many, one)
    assert iou.shape == (4,)
    assert iou[1] == pytest.approx(1.0, abs=1e-9)
    crossed = oriented_iou(
        OrientedBox(many.rotation[:, None], many.translation[:, None], many.dimensions_m[:, None]),
        many,
    )
    assert crossed.shape == (4, 4)
    np.testing.assert_allclose(np.diag(crossed), 1.0, atol=1e-9)
    np.testing.assert_allclose(crossed[:, 1], iou, atol=1e-9)


def test_boxes_without_volume():
    flat = OrientedBox(np.eye(3), np.zeros(3), np.array([1.0, 0.0, 1.0]))
    assert oriented_iou(flat, cube()) == 0.0
    assert oriented_iou(cube(), flat) == 0.0
    assert oriented_iou(flat, flat) == 0.0
    assert oriented_iou(cube(0.0), cube(0.0)) == 0.0


@pytest.mark.filterwarnings("error")
def test_nan_stays_nan():
    lost = cube(at=(np.nan, 0.0, 0.0))
    assert np.isnan(oriented_iou(lost, cube()))
    assert np.isnan(oriented_iou(cube(), lost))


class TestSymmetric:
    @pytest.mark.parametrize("degrees", [5.0, 30.0, 90.0, 180.0, 275.0])
    def test_yaw_is_undone(self, degrees):
        base = random_rotation(5)
        turn = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
        dimensions = np.array([0.2, 0.5, 0.1])
        a = OrientedBox(base @ turn, np.zeros(3), dimensions)
        b = OrientedBox(base, np.zeros(3), dimensions)
        assert symmetric_iou(a, b) == pytest.approx(1.0, abs=1e-9)

    def test_tilt_is_not(self):
        tilt = Rotation.from_euler("x", 90.0, degrees=True).as_matrix()
        dimensions = np.array([0.1, 0.5, 0.1])
        a = OrientedBox(tilt, np.zeros(3), dimensions)
        b = OrientedBox(np.eye(3), np.zeros(3), dimensions)
        assert symmetric_iou(a, b) < 0.2

    def test_never_below_the_plain_one_and_batched(self):
        a, b = random_boxes(6, 5), random_boxes(7, 5)
        assert symmetric_iou(a, b).shape == (5,)
        assert np.all(symmetric_iou(a, b) >= oriented_iou(a, b) - 1e-12)

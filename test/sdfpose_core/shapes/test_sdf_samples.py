"""Signed distances against closed forms; the cache on disk."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sdfpose_core.errors import MeshError, ShapeError
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.sdf_samples import (
    BALL_RADIUS,
    BOUNDARY_DEPTH,
    SampleCacheError,
    SdfSamples,
    SignedDistance,
    cached_samples,
    sample_sdf,
    sample_surface,
)

SIDES = np.array([0.12, 0.08, 0.06])


def _box() -> CadModel:
    box = trimesh.creation.box(SIDES)
    return CadModel.centred("box", "mug", box.vertices, box.faces)


def _box_sdf(points: np.ndarray, sides: np.ndarray) -> np.ndarray:
    q = np.abs(points) - 0.5 * sides
    return np.linalg.norm(np.maximum(q, 0.0), axis=1) + np.minimum(q.max(axis=1), 0.0)


def test_box_in_closed_form() -> None:
    model = _box()
    samples = sample_sdf(
        model, np.random.default_rng(0), n_surface=4000, n_uniform=1500, n_boundary=500
    )
    assert samples.points.shape == (6000, 3)
    assert samples.points.dtype == samples.sdf.dtype == np.float32
    truth = _box_sdf(samples.points.astype(np.float64), SIDES / model.diagonal_m)
    np.testing.assert_allclose(samples.sdf, truth, atol=2e-6)


def test_sphere_in_closed_form() -> None:
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=0.05)
    model = CadModel.centred("sphere", "bowl", sphere.vertices, sphere.faces)
    samples = sample_sdf(model, np.random.default_rng(0), 2000, 1000, 500)
    radius = 0.05 / model.diagonal_m
    truth = np.linalg.norm(samples.points, axis=1) - radius
    np.testing.assert_allclose(samples.sdf, truth, atol=5e-4 * radius)
    outward = samples.points / np.linalg.norm(samples.points, axis=1, keepdims=True)
    clear = np.abs(samples.sdf) > 1e-3
    clear &= truth > -0.9 * radius  # at the centre every direction leads to the surface
    cosine = np.sum(outward * samples.gradient, axis=1)[clear]
    assert cosine.min() > 0.99
    np.testing.assert_allclose(np.linalg.norm(samples.gradient, axis=1), 1.0, atol=1e-4)


def test_samples_lie_where_they_should() -> None:
    samples = sample_sdf(_box(), np.random.default_rng(1), 20_000, 0, 0)
    distance = np.abs(samples.sdf)
    assert 0.4 < np.mean(distance < 0.006) < 0.75
    assert np.quantile(distance, 0.99) < 0.06
    uniform = sample_sdf(_box(), np.random.default_rng(1), 0, 20_000, 0)
    radius = np.linalg.norm(uniform.points, axis=1)
    assert radius.max() <= BALL_RADIUS + 1e-6
    assert np.mean(radius < 0.5 * BALL_RADIUS) == pytest.approx(0.125, abs=0.01)

    boundary = sample_sdf(_box(), np.random.default_rng(1), 0, 0, 20_000)
    assert np.mean(boundary.sdf < 0.0) == pytest.approx(0.5, abs=0.01)
    assert np.abs(boundary.sdf).max() <= BOUNDARY_DEPTH + 1e-6


def test_boundary_samples_fill_thin_walls() -> None:
    """Half of them lie inside a sheet a hundredth thick, evenly over its thickness."""
    sheet = trimesh.creation.box((1.0, 0.01, 1.0))
    model = CadModel.centred("sheet", "laptop", sheet.vertices, sheet.faces)
    samples = sample_sdf(model, np.random.default_rng(0), 0, 0, 20_000)
    half = 0.005 / model.diagonal_m
    y = samples.points[samples.sdf < 0.0, 1] / half
    assert len(y) == pytest.approx(10_000, rel=0.02)
    np.testing.assert_allclose(np.histogram(y, 4, (-1, 1))[0] / len(y), 0.25, atol=0.02)


def test_same_generator_same_samples() -> None:
    a, b = (sample_sdf(_box(), np.random.default_rng(3), 100, 50) for _ in range(2))
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_array_equal(a.sdf, b.sdf)


@pytest.mark.parametrize("category", ["bowl", "mug", "laptop"])
def test_thin_walls_have_the_right_sign(category: str) -> None:
    """A hair inside and outside of each face, against the face's own normal."""
    model = sample_model(category, 3)
    mesh = trimesh.Trimesh(model.normalised_vertices, model.faces, process=False)
    large = mesh.area_faces > np.median(mesh.area_faces)
    centre, normal = mesh.triangles_center[large], mesh.face_normals[large]
    distance = SignedDistance(mesh.vertices, mesh.faces)
    hair = 2e-4
    # slivers beside a concave edge may lie closer than a hair to the next face
    assert np.mean(distance(centre + hair * normal) > 0.0) > 0.995
    assert np.mean(distance(centre - hair * normal) < 0.0) > 0.995


def test_surface_points_are_even_in_area() -> None:
    rng = np.random.default_rng(0)
    points = sample_surface(_box().vertices, _box().faces, rng, 60_000)
    assert np.abs(_box_sdf(points, SIDES)).max() < 1e-12
    on_x = np.mean(np.abs(np.abs(points[:, 0]) - 0.06) < 1e-9)
    areas = np.array([SIDES[1] * SIDES[2], SIDES[0] * SIDES[2], SIDES[0] * SIDES[1]])
    assert on_x == pytest.approx(areas[0] / areas.sum(), abs=0.01)


def test_empty_meshes_are_refused() -> None:
    empty = CadModel("ghost", "mug", np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int32))
    with pytest.raises(MeshError, match="ghost: has no faces"):
        sample_sdf(empty, np.random.default_rng(0))
    with pytest.raises(MeshError, match="has no area"):
        sample_surface(np.zeros((3, 3)), np.array([[0, 1, 2]]), np.random.default_rng(0), 5)


def test_shapes_of_samples_are_checked() -> None:
    four, three = np.zeros((4, 3), np.float32), np.zeros(3, np.float32)
    with pytest.raises(ShapeError, match=r"expected \(N, 3\), \(N,\), \(N, 3\)"):
        SdfSamples(four, three, four)


def test_cache_round_trip(tmp_path: Path) -> None:
    samples = sample_sdf(_box(), np.random.default_rng(3), 100, 50)
    path = tmp_path / "new" / "box.npz"
    samples.save(path)
    again = SdfSamples.load(path)
    np.testing.assert_array_equal(again.points, samples.points)
    np.testing.assert_array_equal(again.sdf, samples.sdf)
    np.testing.assert_array_equal(again.gradient, samples.gradient)
    assert [p.name for p in path.parent.iterdir()] == ["box.npz"]


def test_full_disk_leaves_the_old_file_and_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = sample_sdf(_box(), np.random.default_rng(3), 100, 50)
    path = tmp_path / "box.npz"
    samples.save(path)
    before = path.read_bytes()

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SampleCacheError, match=r"box\.npz.*No space left on device.*free space"):
        samples.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["box.npz"]


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"PK\x03\x04 cut short"])
def test_damaged_cache_names_the_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "old.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SampleCacheError, match=r"old\.npz: contains no SDF samples"):
        SdfSamples.load(path)


def test_foreign_cache_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, points=np.zeros((4, 3)))
    with pytest.raises(SampleCacheError, match="contains no SDF samples"):
        SdfSamples.load(path)


def test_samples_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached_samples(_box(), tmp_path, 100, 50, 20)
    with monkeypatch.context() as patch:
        patch.setattr("sdfpose_core.shapes.sdf_samples.sample_sdf", None)
        again = cached_samples(_box(), tmp_path, 100, 50, 20)
    np.testing.assert_array_equal(again.points, first.points)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("change", ["geometry", "counts"])
def test_a_cached_file_never_stands_for_another_model(tmp_path: Path, change: str) -> None:
    first = cached_samples(_box(), tmp_path, 100, 50, 20)
    box = trimesh.creation.box(1.01 * SIDES if change == "geometry" else SIDES)
    same_name = CadModel.centred("box", "mug", box.vertices, box.faces)
    other = cached_samples(same_name, tmp_path, 100, 50 if change == "geometry" else 51, 20)
    assert not np.array_equal(other.points[:100], first.points[:100])
    assert len(list(tmp_path.iterdir())) == 2

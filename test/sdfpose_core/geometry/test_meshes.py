import numpy as np
import pytest
import trimesh

from sdfpose_core.errors import MeshError
from sdfpose_core.geometry.meshes import write_ply


@pytest.fixture
def ball():
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.05)
    return (
        np.asarray(mesh.vertices, np.float32),
        np.asarray(mesh.faces, np.int32),
        np.asarray(mesh.vertex_normals, np.float32),
    )


def test_what_is_written_is_read_again(tmp_path, ball):
    vertices, faces, normals = ball
    colours = np.random.default_rng(0).integers(0, 255, vertices.shape, dtype=np.uint8)
    path = tmp_path / "objects" / "mug_1.ply"
    write_ply(path, vertices, faces, normals, colours)
    read = trimesh.load(path, process=False)
    np.testing.assert_allclose(read.vertices, vertices, atol=1e-9)
    np.testing.assert_array_equal(read.faces, faces)
    np.testing.assert_allclose(read.vertex_normals, normals, atol=1e-6)
    np.testing.assert_array_equal(read.visual.vertex_colors[:, :3], colours)


def test_vertices_are_neither_merged_nor_reordered(tmp_path):
    vertices = np.zeros((3, 3), np.float32)
    faces = np.array([[2, 1, 0]], np.int32)
    write_ply(tmp_path / "flat.ply", vertices, faces, np.tile([0.0, 1.0, 0.0], (3, 1)))
    read = trimesh.load(tmp_path / "flat.ply", process=False)
    assert read.vertices.shape == (3, 3)
    np.testing.assert_array_equal(read.faces, faces)


def test_the_file_is_binary_and_open3d_reads_it(tmp_path, ball):
    import open3d as o3d

    path = tmp_path / "ball.ply"
    write_ply(path, *ball)
    assert path.read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\n")
    read = o3d.io.read_triangle_mesh(str(path))
    assert len(read.vertices) == len(ball[0])
    assert read.has_vertex_normals()


def test_arrays_that_do_not_fit_are_refused(tmp_path, ball):
    vertices, faces, normals = ball
    path = tmp_path / "x.ply"
    count = len(vertices)
    with pytest.raises(MeshError, match=rf"normals has shape \(4, 3\): expected \({count}, 3\)"):
        write_ply(path, vertices, faces, normals[:4])
    with pytest.raises(MeshError, match=rf"vertices has shape .*: expected \({count}, 3\)"):
        write_ply(path, vertices[:, :2], faces, normals)
    with pytest.raises(MeshError, match="colours has shape"):
        write_ply(path, vertices, faces, normals, np.zeros((count, 4), np.uint8))
    with pytest.raises(MeshError, match=r"faces has shape \(\d+, 2\): expected \(F, 3\)"):
        write_ply(path, vertices, faces[:, :2], normals)
    with pytest.raises(MeshError, match=f"vertex indices from 1 to {count}: expected 0 to"):
        write_ply(path, vertices, faces * 0 + [1, 2, count], normals)
    assert [p.name for p in tmp_path.iterdir()] == []


def test_a_path_that_cannot_be_written(tmp_path, ball):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MeshError, match=r"x\.ply: the mesh cannot be written: "):
        write_ply(tmp_path / "file" / "x.ply", *ball)

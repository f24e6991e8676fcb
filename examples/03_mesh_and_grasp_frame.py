"""Write the mesh of a mug, and find a grasp frame from its pose and size."""

from pathlib import Path

import numpy as np

from sdfpose_core import PoseEstimator, read_frame
from sdfpose_core.geometry.meshes import write_ply
from sdfpose_core.samples import sample_frame

OUT = Path("out/examples")

estimates = PoseEstimator()(read_frame(sample_frame()).frame)
mug = next(x for x in estimates if x.category == "mug")

# The mesh is watertight, in metres, in the mug's own frame: y is up, and +x points to the handle.
write_ply(OUT / "mug.ply", mug.vertices, mug.faces, mug.normals)
print(f"{OUT / 'mug.ply'}: {len(mug.vertices)} vertices, {len(mug.faces)} triangles")

x_axis, y_axis, z_axis = mug.rotation.T  # in the camera frame
width, height, _ = mug.dimensions_m
if mug.symmetric_about_y:
    # The handle is out of sight, so the yaw is unknown. Grasp the rim from above.
    approach, closing = -y_axis, x_axis
    position = mug.translation + 0.5 * height * y_axis
else:
    # Approach the handle from its side. The fingers close along z, across the handle.
    approach, closing = -x_axis, z_axis
    position = mug.translation + 0.5 * width * x_axis

# The gripper's frame: x is the direction in which the fingers close, z is the approach.
grasp = np.eye(4)
grasp[:3, :3] = np.column_stack([closing, np.cross(approach, closing), approach])
grasp[:3, 3] = position
print("\ngrasp frame in the camera frame (rotation and position in metres):")
print(grasp.round(3))

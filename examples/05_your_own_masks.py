"""Estimate objects from NumPy arrays: images of your camera, masks of any segmentation network."""

import numpy as np

from sdfpose_core import PoseEstimator, RgbdFrame, read_frame
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.samples import sample_frame

# What the camera delivers. The sample frame stands in for it here.
sample = read_frame(sample_frame()).frame
colour = sample.colour  # (H, W, 3) uint8, RGB
depth = sample.depth  # (H, W) float32, metres, registered to colour, 0 = missing
K = sample.camera.matrix  # (3, 3) intrinsics

# What the network delivers: category, score and a boolean mask (H, W) of each instance.
detections = [("mug", 0.98, sample.mask == 6), ("can", 0.91, sample.mask == 4)]

# One image holds all masks: the instance's id at each pixel, 0 for the background.
height, width = depth.shape
mask = np.zeros((height, width), np.uint16)
labels = {}
for mask_id, (category, score, pixels) in enumerate(detections, start=1):
    mask[pixels] = mask_id
    labels[mask_id] = InstanceLabel(category, score)

camera = PinholeCamera.from_matrix(K, width, height)
frame = RgbdFrame(colour, depth, mask, camera, labels)

result = PoseEstimator().run(frame)
for x in result.estimates:
    size = x.dimensions_m.round(3)
    print(f"{x.category} {x.mask_id}: confidence {x.confidence:.2f}, size {size} m, pose [R | t]")
    print(np.column_stack([x.rotation, x.translation]).round(3))  # object to camera frame, metres
for skipped in result.skipped:
    print(f"mask {skipped.mask_id} was skipped: {skipped.reason}")

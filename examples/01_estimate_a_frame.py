"""Estimate pose, size and shape of the objects in one RGB-D frame, and draw them."""

from pathlib import Path

import cv2

from sdfpose_core import PoseEstimator, read_frame
from sdfpose_core.samples import sample_frame
from sdfpose_core.visualisation.drawing import draw_overlay

OUT = Path("out/examples")

# A frame folder holds color.png, depth.png, mask.png and meta.json. This one ships with sdfpose.
frame = read_frame(sample_frame()).frame

estimator = PoseEstimator()
estimates = estimator(frame)

print("category  position (m, camera frame)   size (cm)             confidence")
for x in estimates:
    position = "  ".join(f"{v:6.3f}" for v in x.translation)
    size = " x ".join(f"{100 * v:4.1f}" for v in x.dimensions_m)
    print(f"{x.category:<8}  {position:<27}  {size:<20}  {x.confidence:.2f}")

OUT.mkdir(parents=True, exist_ok=True)
picture = draw_overlay(frame, estimates, estimator.categories)
cv2.imwrite(str(OUT / "overlay.png"), picture[..., ::-1])  # OpenCV writes BGR
print(f"\n{OUT / 'overlay.png'} shows the boxes, axes and surfaces.")

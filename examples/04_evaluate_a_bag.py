"""Write a ROS 2 bag, replay it through the tracker and measure the errors. Needs no ROS."""

import shutil
from contextlib import closing
from itertools import islice
from pathlib import Path

from sdfpose_core import PoseEstimator, Tracker
from sdfpose_core.datasets.bag_writing import write_frames
from sdfpose_core.evaluation.frame_metrics import evaluated_objects
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.replay.run import replay
from sdfpose_core.replay.truth import TopicTruth
from sdfpose_core.simulation import table_frames

BAG = Path("out/examples/table")

# The bag has the topics of an RGB-D camera with masks and labels, and /camera/ground_truth.
shutil.rmtree(BAG, ignore_errors=True)
count = write_frames(BAG, islice(table_frames(width=320, rate_hz=10.0), 6))
print(f"{BAG}: {count} frames")

truth = TopicTruth("/camera/ground_truth")
problems: list[str] = []
with closing(Tracker(PoseEstimator())) as tracker:
    done = replay(BAG, tracker, LabelRules({}), problems, truth=truth)
print(f"{len(done.frames)} frames replayed, {done.rate_hz:.1f}/s; problems: {problems or 'none'}")

print("\nlast frame  rotation (deg)  position (cm)  3D IoU")
for x in evaluated_objects(done.evaluate(truth)[-1:]):
    if x.errors is not None:
        name = f"{x.reported.category} {x.reported.id}"
        rotation, position = x.errors.rot_err_deg, x.errors.trans_err_cm
        print(f"{name:<10}  {rotation:14.1f}  {position:13.2f}  {x.errors.iou3d_oriented:6.2f}")

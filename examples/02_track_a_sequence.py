"""Track the objects that a moving camera sees: each keeps its id, size and shape."""

from contextlib import closing
from itertools import islice

from sdfpose_core import PoseEstimator, Tracker
from sdfpose_core.simulation import table_frames

FRAMES = 8

# A simulated camera goes round a table. Replace it with your own frames: the tracker needs their
# time (stamp_ns), but the mask ids may change from frame to frame.
frames = table_frames(width=320, rate_hz=10.0)

with closing(Tracker(PoseEstimator())) as tracker:
    for frame, _ in islice(frames, FRAMES):
        result = tracker.step(frame)
        objects = "  ".join(
            f"{x.estimate.category} {x.id} {x.estimate.translation.round(3)}"
            for x in result.tracks[:3]
        )
        print(f"{1e-9 * frame.stamp_ns:.1f} s  {result.stage_ms['total']:4.0f} ms  {objects}")

    print("\nid  category  state    frames  confidence")
    for x in result.tracks:
        category, confidence = x.estimate.category, x.estimate.confidence
        print(f"{x.id:<2}  {category:<8}  {x.state.name:<7}  {x.age:>6}  {confidence:.2f}")

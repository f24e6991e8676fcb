"""The sample frame: a simulated table with one unseen object of each category.

The frame comes from the simulator, with the noise of a usual depth camera and with ground truth.
``training/make_sample.py`` makes it anew.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["sample_frame"]


def sample_frame() -> Path:
    """Folder of the sample frame, in the format of `sdfpose_core.datasets.folder`.

    Example:
        >>> from sdfpose_core import read_frame
        >>> sorted(x.category for x in read_frame(sample_frame()).frame.labels.values())
        ['bottle', 'bowl', 'camera', 'can', 'laptop', 'mug']
    """
    return Path(__file__).parent / "tabletop"

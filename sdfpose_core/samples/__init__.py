"""The sample frame: a simulated table with one unseen object of each category.

The simulator renders it with the noise of a common depth camera and with ground truth.
``training/make_sample.py`` regenerates it.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["sample_frame"]


def sample_frame() -> Path:
    """Return the folder of the sample frame, see `sdfpose_core.datasets.folder` for its format.

    Example:
        >>> from sdfpose_core import read_frame
        >>> sorted(x.category for x in read_frame(sample_frame()).frame.labels.values())
        ['bottle', 'bowl', 'camera', 'can', 'laptop', 'mug']
    """
    return Path(__file__).parent / "tabletop"

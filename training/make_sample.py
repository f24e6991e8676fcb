#!/usr/bin/env python3
"""Regenerate the sample frame of the package: ``python training/make_sample.py``.

The frame is the first of the simulated table. It replaces `sdfpose_core/samples/tabletop`.
"""

from __future__ import annotations

import shutil

from sdfpose_core.datasets import write_frame
from sdfpose_core.samples import sample_frame
from sdfpose_core.simulation import table_frames


def main() -> None:
    """Write the frame folder."""
    folder = sample_frame()
    frame, truths = next(table_frames())
    shutil.rmtree(folder, ignore_errors=True)
    write_frame(folder, frame, truths)
    print(f"{folder}: {sum(x.stat().st_size for x in folder.iterdir()) / 1024:.0f} KiB")


if __name__ == "__main__":
    main()

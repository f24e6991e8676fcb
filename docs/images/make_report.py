#!/usr/bin/env python3
"""Make the picture of a report: ``python docs/images/make_report.py`` (needs Chromium).

A simulated camera circles four objects on a table; ``sdfpose replay BAG --report FILE`` evaluates
the recording.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from sdfpose_core import RgbdFrame
from sdfpose_core.cli.main import main as sdfpose
from sdfpose_core.datasets.bag_writing import write_frames
from sdfpose_core.observation.frame import GroundTruth
from sdfpose_core.simulation import table_frames

FILE = Path(__file__).parent / "report.png"

CATEGORIES = ("bottle", "bowl", "can", "mug")
FRAMES = 150
WIDTH, HEIGHT, SCALE = 950, 2450, 0.8
"""Size of the browser's window and pixels per unit of it; the report goes on below."""

COLOURS = 256
"""Colours of the picture; fewer make the file smaller."""


def main() -> None:
    """Record a bag, replay it and write the picture of its report."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("no Chromium on the PATH: install it to make the picture of a page")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_frames(folder / "four", islice(_frames(), FRAMES))
        page = folder / "report.html"
        sdfpose(["replay", str(folder / "four"), "--report", str(page), "--threads", "1"])
        shot = folder / "report.png"
        subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--hide-scrollbars",
                f"--user-data-dir={folder / 'browser'}",
                f"--window-size={WIDTH},{HEIGHT}",
                f"--force-device-scale-factor={SCALE}",
                f"--screenshot={shot}",
                page.as_uri(),
            ],
            check=True,
            timeout=120,
        )
        with Image.open(shot) as image:
            picture = image.convert("RGB")
        picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=8).save(FILE, optimize=True)


def _frames() -> Iterator[tuple[RgbdFrame, list[GroundTruth]]]:
    """Frames of the demonstration table in which only some objects have masks."""
    for frame, truths in table_frames():
        known = [x for x in truths if x.category in CATEGORIES]
        ids = [x.mask_id for x in known]
        yield (
            replace(
                frame,
                mask=np.where(np.isin(frame.mask, ids), frame.mask, 0).astype(frame.mask.dtype),
                labels={i: x for i, x in frame.labels.items() if i in ids},
            ),
            known,
        )


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Make the picture of real frames: ``python docs/images/make_real_frames.py DIR/frames``.

The cells are the overlays of ``sdfpose estimate DIR/frames --plain``, cropped to what is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdfpose_core.cli.main import main as sdfpose

FILE = Path(__file__).parent / "real_frames.png"

COLUMNS = 4
WIDTH, HEIGHT, CAPTION = 420, 330, 26
"""Size of a cell and height of its caption, pixels."""

MARGIN_PX = 12
INK = (40, 40, 40)


def main(arguments: Sequence[str]) -> None:
    """Estimate the frames and write the picture."""
    with TemporaryDirectory() as folder:
        if sdfpose(["estimate", *arguments, "--plain", "--out", folder]) != 0:
            raise SystemExit("nothing was estimated")
        overlays = sorted(Path(folder).glob("*/overlay.png"))
        cells = [_cell(np.array(Image.open(x).convert("RGB")), x.parent.name) for x in overlays]
    blank = np.full_like(cells[0], cells[0][0, 0])
    cells += [blank] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    Image.fromarray(np.vstack(rows)).save(FILE, optimize=True)


def _cell(overlay: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Fit what is drawn into a cell with the name of the frame."""
    background = overlay[-1, 0]
    v, u = np.nonzero((overlay != background).any(axis=-1))
    height, width = overlay.shape[:2]
    top, bottom = max(v.min() - MARGIN_PX, 0), min(v.max() + MARGIN_PX, height)
    left, right = max(u.min() - MARGIN_PX, 0), min(u.max() + MARGIN_PX, width)
    part = overlay[top:bottom, left:right]
    scale = min(WIDTH / part.shape[1], (HEIGHT - CAPTION) / part.shape[0])
    size = (int(scale * part.shape[1]), int(scale * part.shape[0]))
    interpolation = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    cell = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    cell[:] = background
    y, x = (HEIGHT - CAPTION - size[1]) // 2, (WIDTH - size[0]) // 2
    cell[y : y + size[1], x : x + size[0]] = cv2.resize(part, size, interpolation=interpolation)
    cv2.putText(cell, name, (8, HEIGHT - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
    return cell


if __name__ == "__main__":
    main(sys.argv[1:])

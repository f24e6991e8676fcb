"""Contact sheets: layout and content of the picture."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.shapes.contact_sheet import contact_sheet, render_model
from sdfpose_core.shapes.families import sample_model

CAN = sample_model("can", 0)


def test_model_stands_upright_in_the_middle() -> None:
    image = render_model(CAN, size=96, yaw_deg=90.0, pitch_deg=0.0)
    assert image.shape == (96, 96, 3)
    covered = image.min(axis=-1) < 255
    rows, columns = np.nonzero(covered)
    np.testing.assert_allclose([rows.mean(), columns.mean()], 47.5, atol=2.0)
    tall = CAN.dimensions_m[1] / CAN.dimensions_m[0]
    assert np.ptp(rows) / np.ptp(columns) == pytest.approx(tall, rel=0.06)
    assert (image[0, 0] == 255).all()


def test_sheet_has_rows_and_columns() -> None:
    sheet = contact_sheet([CAN] * 5, columns=2, size=40, captions=[""] * 5)
    assert sheet.shape == (3 * 44, 2 * 44, 3)
    assert (sheet[-44:, 44:] == 255).all(), "the sixth place is empty"


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="no models"):
        contact_sheet([])
    with pytest.raises(ValueError, match="2 captions"):
        contact_sheet([CAN], captions=["a", "b"])

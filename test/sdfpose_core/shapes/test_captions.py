"""Captions in any script."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from sdfpose_core.shapes.captions import write_caption


def written(text, at=(3, 14)):
    image = np.full((20, 160, 3), 255, dtype=np.uint8)
    write_caption(image, text, at, (200, 40, 40))
    return image


def test_a_caption_has_its_place_and_its_colour():
    image = written("HHHH", at=(30, 14))
    rows, columns = np.nonzero(image.min(axis=-1) < 255)
    assert 30 <= columns.min() <= 33
    assert rows.max() in (13, 14)
    assert 12 < np.ptp(columns) < 60
    darkest = image[np.unravel_index(image.sum(axis=-1).argmin(), image.shape[:2])]
    np.testing.assert_array_less(np.abs(darkest - np.array([200.0, 40.0, 40.0])), 40.0)


def test_letters_of_other_scripts_are_drawn():
    texts = ["?bertopf", "Ubertopf", "Übertopf", "Чайник", "Βάζο", r"\xdcbertopf"]
    images = [written(x).tobytes() for x in texts]
    assert len(set(images)) == len(texts)
    decomposed = unicodedata.normalize("NFD", "Übertopf")  # names of files on macOS
    assert written(decomposed).tobytes() == images[2]


@pytest.mark.filterwarnings("error")
def test_what_the_font_lacks_is_written_as_its_code():
    assert written("壶").tobytes() == written(r"\u58f6").tobytes()
    assert written("壶").tobytes() != written("杯").tobytes()


def test_formulas_are_text_and_nothing_is_nothing():
    assert written("$x$").tobytes() not in (written("x").tobytes(), written("").tobytes())
    assert (written("") == 255).all()
    assert (written(" ") == 255).all()


def test_what_does_not_fit_is_cut_off():
    assert (written("wide " * 40)[:, -20:] < 255).any()
    assert (written("outside", at=(500, 14)) == 255).all()
    assert (written("outside", at=(3, 100)) == 255).all()

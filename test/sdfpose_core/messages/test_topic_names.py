from __future__ import annotations

import pytest

from sdfpose_core.messages.topic_names import is_rectified, segments


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("/camera/image_rect_color", [["camera"], ["image", "rect", "color"]]),
        ("/RGB/imageRaw", [["rgb"], ["image", "raw"]]),
        ("/cam0/rect-2", [["cam"], ["rect"]]),
        ("", []),
    ],
)
def test_names_are_split_into_segments_and_words(topic, words):
    assert segments(topic) == words


def test_rectified_is_a_word_and_not_some_letters():
    assert is_rectified("/cam/image_rect/compressed")
    assert is_rectified("/cam/Rectified")
    assert not any(
        map(is_rectified, ("/direct/image", "/correct/rgb", "/rectangle", "/unrectified"))
    )

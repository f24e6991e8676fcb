"""Images of the worst estimates of a replay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.bags import Pairing, bag_frames
from sdfpose_core.evaluation.frame_evaluation import FrameEvaluation
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.replay.run import Replay
from sdfpose_core.visualisation.drawing import draw_error
from sdfpose_core.visualisation.pictures import ErrorImage, caption, worst_objects

__all__ = ["worst_images"]


def worst_images(
    path: Path | str,
    rules: LabelRules,
    pairing: Pairing | None,
    done: Replay,
    evaluated: Sequence[FrameEvaluation],
    categories: Categories,
) -> list[ErrorImage]:
    """Draw the worst estimates, worst first; this reads the bag again.

    Args:
        path: path of the bag.
        rules: label rules of the replay.
        pairing: pairing of the replay.
        done: result of the replay.
        evaluated: frames of the replay.
        categories: table of categories, with their colours.
    """
    worst = worst_objects(evaluated)
    selected = {done.frames[x.frame].number for x in worst}
    if not selected:
        return []
    images = {}
    for number, item in enumerate(bag_frames(path, rules, [], pairing=pairing)):
        if number in selected:
            images[number] = item.frame
        if number >= max(selected):
            break
    pictures = []
    for x in worst:
        replayed = done.frames[x.frame]
        truth = x.evaluation.truth
        track = replayed.shown[x.index]
        if truth is not None and replayed.number in images:
            image = draw_error(
                images[replayed.number],
                done.with_mesh(track),
                truth,
                categories,
                object_id=track.id,
            )
            pictures.append(ErrorImage(caption(evaluated[x.frame].name, x.evaluation), image))
    return pictures

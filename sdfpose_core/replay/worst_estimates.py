"""Pictures of a replay's worst estimates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.bags import Pairing, bag_frames
from sdfpose_core.evaluation.judgement import JudgedFrame
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.replay.run import Replay
from sdfpose_core.visualisation.drawing import draw_error
from sdfpose_core.visualisation.pictures import ErrorPicture, caption, worst_objects

__all__ = ["worst_pictures"]


def worst_pictures(
    path: Path | str,
    rules: LabelRules,
    pairing: Pairing | None,
    done: Replay,
    judged: Sequence[JudgedFrame],
    categories: Categories,
) -> list[ErrorPicture]:
    """Pictures of the worst estimates, worst first; reads the bag once more.

    Args:
        path: of the bag.
        rules: as in the replay.
        pairing: as in the replay.
        done: the replay.
        judged: its frames.
        categories: for their colours.
    """
    worst = worst_objects(judged)
    wanted = {done.frames[x.frame].number for x in worst}
    if not wanted:
        return []
    images = {}
    for number, item in enumerate(bag_frames(path, rules, [], pairing=pairing)):
        if number in wanted:
            images[number] = item.frame
        if number >= max(wanted):
            break
    pictures = []
    for x in worst:
        replayed = done.frames[x.frame]
        truth = x.judged.truth
        track = replayed.shown[x.index]
        if truth is not None and replayed.number in images:
            image = draw_error(
                images[replayed.number],
                done.with_mesh(track),
                truth,
                categories,
                object_id=track.id,
            )
            pictures.append(ErrorPicture(caption(judged[x.frame].name, x.judged), image))
    return pictures

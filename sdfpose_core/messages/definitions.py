"""Message definitions: those of ROS 2, and the installed ones of sdfpose."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

__all__ = ["PACKAGE", "message_definitions"]

PACKAGE = "sdfpose"
_MESSAGES = (
    "GraspCandidate",
    "GraspCandidateArray",
    "InstanceLabel",
    "InstanceLabels",
    "PoseAlternative",
    "SdfObject",
    "SdfObjectArray",
)


def message_definitions() -> Typestore:
    """Load the definitions for writing bags, and for reading bags that contain none.

    The sdfpose messages come from the ``.msg`` files of the installed package; if it is not
    installed, only the ROS 2 messages are available.
    """
    store = get_typestore(Stores.LATEST)
    folder = _installed_definitions()
    if folder is not None:
        types = {}
        for name in _MESSAGES:
            text = (folder / f"{name}.msg").read_text(encoding="utf-8")
            types.update(get_types_from_msg(text, f"{PACKAGE}/msg/{name}"))
        store.register(types)
    return store


def _installed_definitions() -> Path | None:
    """Find the folder of the ``.msg`` files, below a prefix that contains the Python package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    for prefix in Path(spec.origin).resolve().parents:
        folder = prefix / "share" / PACKAGE / "msg"
        if folder.is_dir():
            return folder
    return None

"""The file of the orientations, which people edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sdfpose_core.category_learning.orientation import Orientation
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.storage.configuration import build
from sdfpose_core.storage.files import write_atomically
from sdfpose_core.storage.text import read_yaml, yaml_text

__all__ = ["read_orientations", "write_orientations"]

_HEADER = """\
# Orientation of each model. Edit it, and run the command again.
#   up: axis of the file that points up (+x, -x, +y, -y, +z, -z)
#   yaw_deg: rotation about y that turns the front toward +x
#   use: whether to learn from the model
"""


def write_orientations(path: Path, orientations: Mapping[str, Orientation]) -> None:
    """Write orientations by the names of the models.

    Raises:
        OSError: the file cannot be written.
    """
    content = {name: asdict(x) for name, x in orientations.items()}
    text = yaml_text(content)
    write_atomically(path, (_HEADER + text).encode())


def read_orientations(path: Path) -> dict[str, Orientation]:
    """Read a file of `write_orientations`.

    Raises:
        ConfigurationError: the file is no such file, or a value is invalid; the message names the
            model and the key.
    """
    try:
        content: Any = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"{path}: expected a mapping of model names to up, yaw_deg and use; delete it to have "
            "it proposed again"
        )
    return {str(x): build(Orientation, value, f"{path}: {x}") for x, value in content.items()}

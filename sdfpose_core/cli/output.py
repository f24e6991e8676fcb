"""Files that commands leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sdfpose_core.errors import SdfposeError
from sdfpose_core.files import write_atomically

__all__ = ["write_file", "write_json"]


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        SdfposeError: the file cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise SdfposeError(f"{path}: cannot be written: {error.strerror}") from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON document; errors as of `write_file`."""
    write_file(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())

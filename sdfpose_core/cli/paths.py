"""Checks of input and output paths, before the work of a command begins."""

from __future__ import annotations

import os
import tempfile
from argparse import ArgumentTypeError
from pathlib import Path

from sdfpose_core.cli.execution import describe_os_error, reserve_standard_output
from sdfpose_core.errors import ConfigurationError

__all__ = [
    "STANDARD_OUTPUT",
    "check_input_folder",
    "check_new_bag",
    "check_output_file",
    "check_output_folder",
    "path_argument",
]

STANDARD_OUTPUT = Path("-")
"""Value of ``--json`` for standard output."""

_JSON = "--json"


def path_argument(text: str) -> Path:
    """Argparse type for paths; an empty one, as of an unset variable, is not the present folder."""
    if not text:
        raise ArgumentTypeError("the path is empty: expected the name of a file or folder")
    return Path(text)


def check_output_file(option: str, path: Path | None) -> None:
    """Check that a file can be written; None is allowed.

    ``--json -`` reserves standard output for the file and sends all other text to standard error.

    Args:
        option: name of the option, for the message.
        path: file to write later. It is not created, nor are its folders.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    if path is None:
        return
    if path == STANDARD_OUTPUT and option == _JSON:
        reserve_standard_output()
        return
    _refuse_standard_output(option, path)
    try:
        if path.is_dir():
            raise ConfigurationError(f"{option} {path}: is a folder: expected the name of a file")
        if path.exists() and not path.is_file():  # a device or a pipe
            return
        _check_writable(path.parent)
    except OSError as error:
        raise _not_writable(option, path, error) from error


def check_output_folder(option: str, path: Path | None) -> None:
    """Check that files can be written to a folder, which need not exist; None is allowed.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    if path is None:
        return
    _refuse_standard_output(option, path)
    try:
        _check_writable(path)
    except OSError as error:
        raise _not_writable(option, path, error) from error


def check_new_bag(option: str, path: Path | None) -> None:
    """Check that a bag can be created; None is allowed.

    Raises:
        ConfigurationError: the path exists, or its folder cannot be written.
    """
    if path is None:
        return
    _refuse_standard_output(option, path)
    try:
        if path.exists():
            raise ConfigurationError(
                f"{option} {path}: already exists: choose the name of a new bag"
            )
        _check_writable(path.parent)
    except OSError as error:
        raise _not_writable(option, path, error) from error


def check_input_folder(option: str, path: Path | None, expected: str = "") -> None:
    """Check that a folder exists and can be listed; None is allowed.

    Args:
        option: name of the option, for the message.
        path: the folder.
        expected: what it should contain.

    Raises:
        ConfigurationError: the folder is missing or unreadable.
    """
    if path is None:
        return
    hint = f": expected a folder{' with ' + expected if expected else ''}"
    try:
        with os.scandir(path):
            pass
    except OSError as error:
        raise ConfigurationError(f"{option} {path}: {error.strerror}{hint}") from error


def _refuse_standard_output(option: str, path: Path) -> None:
    if path == STANDARD_OUTPUT:
        raise ConfigurationError(
            f"{option} -: standard output is for {_JSON} only: expected another name"
        )


def _check_writable(folder: Path) -> None:
    """Create and remove a file in a folder, or in the nearest one above it that exists.

    Raises:
        OSError: that is not possible.
    """
    for existing in (folder, *folder.absolute().parents):
        try:
            existing.stat()
        except FileNotFoundError:
            continue
        with tempfile.TemporaryFile(dir=existing):
            return


def _not_writable(option: str, path: Path, error: OSError) -> ConfigurationError:
    reason = describe_os_error(OSError(error.errno, error.strerror))
    return ConfigurationError(f"{option} {path}: cannot be written: {reason}")

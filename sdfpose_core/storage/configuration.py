"""Configuration files: YAML into frozen dataclasses, every key checked."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from sdfpose_core.errors import ConfigurationError

__all__ = ["build", "read_configuration"]

T = TypeVar("T")


def read_configuration(path: Path | str, kind: type[T]) -> T:
    """Read a YAML mapping into the dataclass `kind`; keys that are left out keep their defaults.

    Raises:
        ConfigurationError: the file cannot be read, or a key is unknown or of a wrong type; the
            message names file and key.
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: cannot be read as YAML: {error}") from error
    return build(kind, content if content is not None else {}, str(path))


def build(kind: type[T], values: Any, where: str) -> T:
    """Make a dataclass, with nested ones, from a mapping.

    Args:
        kind: the dataclass.
        values: its fields by name.
        where: what the message of an error begins with, e.g. the file's name.

    Raises:
        ConfigurationError: a key is unknown or of a wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{where}: expected a mapping, found {values!r}")
    types = typing.get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in types:
            near = difflib.get_close_matches(str(key), types, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            raise ConfigurationError(
                f"{where}: unknown key '{key}'{hint}: expected {', '.join(types)}"
            )
        arguments[key] = _convert(types[key], value, f"{where}: {key}")
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _convert(wanted: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return build(wanted, value, where)
    if wanted is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if wanted is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if wanted in (str, bool) and isinstance(value, wanted):
        return value
    if typing.get_origin(wanted) is typing.Literal:
        choices = typing.get_args(wanted)
        if value in choices:
            return value
        raise ConfigurationError(
            f"{where} is {value!r}: expected {' or '.join(repr(x) for x in choices)}"
        )
    raise ConfigurationError(
        f"{where} is {value!r}: expected {getattr(wanted, '__name__', wanted)}"
    )

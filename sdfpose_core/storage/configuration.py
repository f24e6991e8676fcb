"""Read YAML configuration files into dataclasses, and check every key."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.storage.text import read_yaml

__all__ = ["build", "check_at_least_one", "read_configuration"]

T = TypeVar("T")


def read_configuration(path: Path | str, kind: type[T]) -> T:
    """Read a YAML mapping into the dataclass `kind`. Missing keys keep their defaults.

    Raises:
        ConfigurationError: the file cannot be read, a key is unknown or a value has the wrong
            type; the message names the file and the key.
    """
    try:
        content = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read as YAML: {error}") from error
    return build(kind, content if content is not None else {}, str(path))


def build(kind: type[T], values: Any, where: str) -> T:
    """Build a dataclass, including nested ones, from a mapping.

    Args:
        kind: the dataclass.
        values: field values by name.
        where: prefix of error messages, e.g. the file name.

    Raises:
        ConfigurationError: a key is unknown, or a value has the wrong type or is refused by the
            dataclass.
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
    except (TypeError, ConfigurationError) as error:
        raise ConfigurationError(f"{where}: {error}") from error


def check_at_least_one(configuration: object, *names: str) -> None:
    """Check that fields of a dataclass are at least 1.

    Raises:
        ConfigurationError: one of them is smaller.
    """
    for name in names:
        value = getattr(configuration, name)
        if not value >= 1:
            raise ConfigurationError(f"{name} is {value}: expected at least 1")


def _convert(expected: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return build(expected, value, where)
    if expected is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if expected is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if expected in (str, bool) and isinstance(value, expected):
        return value
    if typing.get_origin(expected) is typing.Literal:
        choices = typing.get_args(expected)
        if value in choices:
            return value
        raise ConfigurationError(
            f"{where} is {value!r}: expected {' or '.join(repr(x) for x in choices)}"
        )
    if typing.get_origin(expected) is tuple and isinstance(value, list):
        kinds = typing.get_args(expected)
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        if len(kinds) == len(value):
            return tuple(_convert(*x, where) for x in zip(kinds, value, strict=True))
    raise ConfigurationError(f"{where} is {value!r}: expected {_name(expected)}")


def _name(expected: Any) -> str:
    """Describe the type of a value."""
    if typing.get_origin(expected) is not tuple:
        return str(getattr(expected, "__name__", expected))
    kinds = typing.get_args(expected)
    if kinds[-1] is Ellipsis:
        return f"a list of {_name(kinds[0])}"
    return f"[{', '.join(map(_name, kinds))}]"

"""Values in ROS arguments."""

from __future__ import annotations

from collections.abc import Sequence

from sdfpose_core.errors import ConfigurationError

__all__ = ["parameter_arguments"]

_Value = bool | int | float | str


def parameter_arguments(**values: _Value | Sequence[str]) -> list[str]:
    """Return ROS arguments that set parameters; ROS reads the values as YAML.

    Empty lists, which have no type in ROS, are skipped.

    Raises:
        ConfigurationError: a text is not valid UTF-8.

    Example:
        >>> parameter_arguments(bag="run #3", rate=2.0)
        ['-p', 'bag:="run #3"', '-p', 'rate:=2.0']
    """
    return [
        part
        for name, value in values.items()
        if isinstance(value, str | int | float) or value
        for part in ("-p", f"{name}:={_yaml(value)}")
    ]


def _yaml(value: _Value | Sequence[str]) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _quoted(value)
    return f"[{', '.join(_quoted(x) for x in value)}]"


def _quoted(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"{text!r}: is not valid UTF-8: expected a name that ROS can pass on: rename it"
        ) from error
    text = text.replace("\\", r"\\").replace('"', r"\"")
    quoted = "".join(x if x.isprintable() else f"\\U{ord(x):08x}" for x in text)
    return f'"{quoted}"'

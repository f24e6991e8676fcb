"""Pickles of strangers: labels and predictions in the format of the NOCS family of repositories.

A pickle can call anything. Here only what holds data can be built: numbers, strings, containers and
NumPy arrays, of NumPy 1 and 2, written by Python 2 or 3.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sdfpose_core.errors import PickleError

__all__ = ["load_pickle"]

_LARGEST_BYTES = 1 << 30


class _Encode:
    """How the second protocol writes bytes. Without attributes: a pickle can set none."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str = "latin1") -> bytes:
        return text.encode("latin1" if encoding in ("latin1", "latin-1") else "utf-8")


class _FromBuffer:
    """An array of the fifth protocol. Without attributes: a pickle can set none."""

    __slots__ = ()

    def __call__(
        self, buffer: Any, dtype: np.dtype[Any], shape: tuple[int, ...], order: str
    ) -> np.ndarray[Any, Any]:
        return np.frombuffer(buffer, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


# The functions that NumPy's own pickles name; their module was renamed in NumPy 2.
_RECONSTRUCT: Callable[..., Any] = np.ndarray(0).__reduce__()[0]
_SCALAR: Callable[..., Any] = np.float64(0).__reduce__()[0]

_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _Encode(),
    ("collections", "OrderedDict"): dict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    **{
        (f"numpy.{core}.multiarray", name): function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _RECONSTRUCT), ("scalar", _SCALAR))
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FromBuffer() for core in ("core", "_core")},
}
"""What a pickle may name, and what it gets."""


class _Unpickler(pickle.Unpickler):
    """Builds nothing but `_ALLOWED`."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which is no plain data"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"it refers to an object outside the file ({pid!r})")


def load_pickle(path: Path | str) -> Any:
    """The content of a pickle, if that is plain data.

    Raises:
        PickleError: the file is missing, damaged, larger than 1 GiB or would build something else
            than numbers, strings, containers and NumPy arrays.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > _LARGEST_BYTES:
            raise PickleError(
                f"{path}: has {size} bytes: expected a pickle of at most {_LARGEST_BYTES}"
            )
        content = path.read_bytes()
    except OSError as error:
        raise PickleError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return _Unpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle fails in any way
        raise PickleError(
            f"{path}: cannot be loaded ({error}): expected a pickle of numbers, strings, "
            "containers and NumPy arrays; nothing else is ever built from a file"
        ) from error

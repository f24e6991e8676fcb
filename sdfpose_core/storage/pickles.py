"""Restricted loading of untrusted pickles: labels and predictions in the NOCS format.

A pickle can execute arbitrary code. Only plain data is loaded here: numbers, strings, containers
and NumPy arrays, written by NumPy 1 or 2 and Python 2 or 3.
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

_MAX_BYTES = 1 << 30


class _Encode:
    """Replacement for `codecs.encode`, which protocol 2 uses for bytes.

    It has no attributes that a pickle could set.
    """

    __slots__ = ()

    def __call__(self, text: str, encoding: str = "latin1") -> bytes:
        return text.encode("latin1" if encoding in ("latin1", "latin-1") else "utf-8")


class _Bytes:
    """Replacement for `bytes`, which protocol 2 uses for the data of an empty array."""

    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


class _FromBuffer:
    """Builds arrays of protocol 5. It has no attributes that a pickle could set."""

    __slots__ = ()

    def __call__(
        self, buffer: Any, dtype: np.dtype[Any], shape: tuple[int, ...], order: str
    ) -> np.ndarray[Any, Any]:
        return np.frombuffer(buffer, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


# Functions that NumPy's pickles refer to; NumPy 2 renamed their module.
_RECONSTRUCT: Callable[..., Any] = np.ndarray(0).__reduce__()[0]
_SCALAR: Callable[..., Any] = np.float64(0).__reduce__()[0]

_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _Encode(),
    ("builtins", "bytes"): _Bytes(),
    ("__builtin__", "bytes"): _Bytes(),
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
"""Names that a pickle may refer to, and the objects they resolve to."""


class _Unpickler(pickle.Unpickler):
    """Unpickler that only resolves the names in `_ALLOWED`."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it refers to {module}.{name}, which is not plain data"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"it refers to an object outside the file ({pid!r})")


def load_pickle(path: Path | str) -> Any:
    """Load a pickle of plain data.

    Raises:
        PickleError: the file is missing, damaged, larger than 1 GiB, or contains anything but
            numbers, strings, containers and NumPy arrays.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise PickleError(
                f"{path}: has {size} bytes: expected a pickle of at most {_MAX_BYTES}"
            )
        content = path.read_bytes()
    except OSError as error:
        raise PickleError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return _Unpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # the unpickler raises arbitrary errors for damaged files
        raise PickleError(
            f"{path}: cannot be loaded ({error}): expected a pickle of numbers, strings, "
            "containers and NumPy arrays; other objects are never loaded"
        ) from error

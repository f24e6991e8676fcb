import os
import pickle
import pickletools
from collections import OrderedDict
from pathlib import PurePosixPath

import numpy as np
import pytest

from sdfpose_core.errors import PickleError
from sdfpose_core.storage.pickles import load_pickle

CONTENT = {
    "class_ids": [1, 2, 6],
    "poses": np.arange(32, dtype=np.float32).reshape(2, 4, 4),
    "fortran": np.asfortranarray(np.eye(3)),
    "scale": np.float64(0.25),
    "count": np.int32(7),
    "flags": np.array([True, False]),
    "names": np.array(["mug", "can"]),
    "mixed": np.array([None, "a", 3], dtype=object),
    "nested": OrderedDict(a=(1.5, None), b={1, 2}),
    "bytes": b"\x00\xff",
    "no_bytes": b"",
    "no_masks": np.zeros((480, 640, 0), dtype=bool),
}


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
    if isinstance(a, dict):
        return set(a) == set(b) and all(same(a[k], b[k]) for k in a)
    return a == b


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol(tmp_path, protocol):
    path = tmp_path / "label.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    assert same(CONTENT, load_pickle(path))


@pytest.mark.parametrize(
    ("old", "new"), [(b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")]
)
def test_arrays_of_either_numpy(tmp_path, old, new):
    """The module's name in a text pickle is that of the NumPy which wrote it."""
    written = pickle.dumps(np.arange(6.0), protocol=0)
    path = tmp_path / "label.pkl"
    path.write_bytes(written.replace(old, new))
    assert same(np.arange(6.0), load_pickle(path))


def test_strings_of_python_2(tmp_path):
    path = tmp_path / "label.pkl"
    path.write_bytes(b"(dp0\nS'model_list'\np1\n(lp2\nS'mug_brown'\np3\nas.")
    assert load_pickle(path) == {"model_list": ["mug_brown"]}


class Malicious:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "attack",
    [
        Malicious(os.system, "touch {}"),
        Malicious(eval, "open('{}', 'w')"),
        Malicious(getattr, np.ndarray, "tofile"),
        {"class_ids": [Malicious(os.mkdir, "{}")]},
        np.array([Malicious(os.mkdir, "{}")], dtype=object),
        PurePosixPath("/etc"),
    ],
)
def test_what_would_run_is_refused(tmp_path, monkeypatch, attack, protocol):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "label.pkl"
    path.write_bytes(pickle.dumps(attack, protocol))
    with pytest.raises(PickleError, match=r"label\.pkl: cannot be loaded .*not plain data"):
        load_pickle(path)
    assert [x.name for x in tmp_path.iterdir()] == ["label.pkl"]


@pytest.mark.parametrize(
    "named", [b"_codecs\nencode", b"numpy\nndarray", b"numpy.core.numeric\n_frombuffer"]
)
@pytest.mark.parametrize("state", [b"}S'__defaults__'\n)s", b"N}S'__defaults__'\n)s\x86"])
def test_what_may_be_named_cannot_be_changed(tmp_path, named, state):
    """The instruction BUILD sets attributes of whatever it is given."""
    path = tmp_path / "label.pkl"
    path.write_bytes(b"c" + named + b"\n" + state + b"b.")
    with pytest.raises(PickleError, match=r"label\.pkl: cannot be loaded"):
        load_pickle(path)


def test_no_allowed_name_is_a_way_out(tmp_path):
    """What may be named builds data: none of it takes a name of something else."""
    written = pickle.dumps(CONTENT, protocol=2)
    named = {x[1] for x in pickletools.genops(written) if x[0].name == "GLOBAL"}
    assert named <= {
        "numpy dtype",
        "numpy ndarray",
        "numpy._core.multiarray _reconstruct",
        "numpy._core.multiarray scalar",
        "numpy.core.multiarray _reconstruct",
        "numpy.core.multiarray scalar",
        "_codecs encode",
        "collections OrderedDict",
        "__builtin__ set",
        "__builtin__ bytes",
    }


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"no pickle", b"\x80\x04N", b"P1\n."])
def test_damage(tmp_path, content):
    path = tmp_path / "label.pkl"
    path.write_bytes(content)
    with pytest.raises(PickleError, match=r"label\.pkl: cannot be loaded"):
        load_pickle(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(PickleError, match=r"none\.pkl: cannot be read: No such file"):
        load_pickle(tmp_path / "none.pkl")

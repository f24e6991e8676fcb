"""Locks between processes."""

import subprocess
import sys

import pytest

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.storage.locks import locked

HOLD = """
import pathlib, sys
from sdfpose_core.storage.locks import locked
with locked(pathlib.Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_free_when_its_process_has_ended(tmp_path):
    path = tmp_path / "new" / ".lock"
    process = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(process, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(ConfigurationError, match=r"it is made \(lock .*: wait for its end"),
            locked(path, "it is made"),
        ):
            pass
        other.kill()
    for _ in range(2):
        with locked(path, "it is made"):
            pass

"""Worker processes end with their parent, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdfpose_core.processes import end_with_parent

PARENT = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from sdfpose_core.processes import end_with_parent

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60.0)
"""


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_ends_with_its_parent(tmp_path, ending):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert runs(worker)
        parent.send_signal(ending)
    end = time.monotonic() + 10.0
    while runs(worker):
        assert time.monotonic() < end, "the worker outlives its parent"
        time.sleep(0.02)


def test_only_workers_have_a_parent_to_end_with():
    with pytest.raises(RuntimeError, match="call it in a worker process"):
        end_with_parent()

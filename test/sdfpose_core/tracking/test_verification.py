"""The verifier in a process of its own."""

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import VerificationError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.simulation import simulated_frame
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, orbit, table_scene
from sdfpose_core.tracking.verification import Trial, VerificationRequest, attempt, verify
from sdfpose_core.tracking.verifier import Verifier


@pytest.fixture(scope="module")
def case():
    """An estimator, and a request to verify the pose of a can on a table."""
    rng, scene = np.random.default_rng(0), table_scene(3)
    frame, truths = simulated_frame(scene, TABLE_CAMERA, orbit(0.0), rng)
    (can,) = (x.mask_id for x in truths if x.category == "can")
    instances, _ = segment(frame, default_categories())
    instance = dataclasses.replace({x.mask_id: x for x in instances}[can], colour=None)
    estimator = PoseEstimator()
    (tracked,) = estimator.estimate([instance]).estimates
    return estimator, VerificationRequest(7, instance, tracked, Keyframes.of(instance, tracked))


@pytest.fixture
def verifier(case):
    verifier = Verifier(case[0], 0.5, in_process=True)
    yield verifier
    verifier.close()


@pytest.fixture(scope="module")
def running(case):
    """One that tests share: its process takes seconds to start."""
    verifier = Verifier(case[0], 0.5, in_process=True)
    yield verifier
    verifier.close()


def test_another_process_gives_the_same_result(case, running):
    estimator, request = case
    running.prepare()
    running.begin(request, 100)
    assert running.pending is request
    assert running.due(99, wait=True) is None
    known, outcome = running.due(100, wait=True)
    assert known is request
    expected = verify(request, estimator, 0.5)
    assert outcome.update is not None
    for found, other in (
        (outcome.detection, expected.detection),
        (outcome.update.estimate, expected.update.estimate),
    ):
        np.testing.assert_allclose(found.translation, other.translation, atol=1e-5)
        np.testing.assert_allclose(found.code, other.code, atol=1e-4)
        assert found.confidence == pytest.approx(other.confidence, abs=1e-4)
    keyframes = outcome.update.keyframes
    assert len(keyframes.instances) == 2
    np.testing.assert_array_equal(
        keyframes.instances[0].points, request.keyframes.instances[0].points
    )
    # Its shape is known here as well, and not decoded again.
    known = estimator.shape_of(outcome.update.estimate)
    assert known.volume is outcome.update.shape.volume
    assert known.mesh is outcome.update.shape.mesh
    assert outcome.update.shape is not None
    assert running.due(200, wait=True) is None


def test_a_trial_in_the_process_names_the_category(case, running):
    estimator, request = case
    names = list(default_categories())
    trial = Trial(3, tuple(dataclasses.replace(request.instance, category=x) for x in names))
    running.prepare()
    assert running.ready
    running.begin(trial, 0)
    assert running.pending is trial
    known, outcome = running.due(0, wait=True)
    assert known is trial
    assert outcome.update is None
    assert outcome.detection.category == "can" == attempt(trial, estimator).detection.category


def test_a_process_that_dies_is_reported_and_replaced(case, running):
    _, request = case
    running.prepare()
    process = running._submit(os.getpid).result()
    os.kill(process, signal.SIGINT)  # from the terminal: its parent will end it
    running.begin(request, 100)
    os.kill(process, signal.SIGKILL)
    told = r"has died \(.*\): its verification is lost, and the next one starts a new process"
    with pytest.raises(VerificationError, match=told):
        running.due(100, wait=True)
    running.begin(request, 200)
    _, outcome = running.due(200, wait=True)
    assert outcome.detection is not None


def test_an_idle_process_that_dies_is_replaced(case, running):
    running.prepare()
    process = running._submit(os.getpid).result()
    os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 10.0
    while running._pool._broken is False and time.monotonic() < deadline:
        time.sleep(0.05)
    running.begin(case[1], 100)
    _, outcome = running.due(100, wait=True)
    assert outcome.detection is not None


def test_the_process_is_not_interrupted_while_it_starts(running, capfd):
    """A terminal sends SIGINT to parent and child, which imports for seconds."""
    running._executor()
    process = running._process
    for _ in range(5):
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.02)
    assert running._submit(os.getpid).result() == process.pid
    assert "KeyboardInterrupt" not in capfd.readouterr().err
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())  # here it is open


def test_a_process_that_is_closed_while_it_starts_ends_at_once_and_silently(verifier, capfd):
    before = set(threading.enumerate())
    for _ in range(2):
        verifier._executor()
        process = verifier._process
        start_s = time.monotonic()
        verifier.close()
        assert not process.is_alive()
        assert time.monotonic() - start_s < 5.0
    assert set(threading.enumerate()) <= before
    assert "Traceback" not in capfd.readouterr().err


def test_a_script_without_a_guard_is_told_to_have_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from sdfpose_core.tracking.verifier import Verifier\n"
        "verifier = Verifier(None, 0.5, in_process=True)\n"
        "try:\n"
        "    verifier.prepare()\n"
        "finally:\n"
        "    verifier.close()\n"
    )
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert "VerificationError: the verification process has died while it started" in last
    assert "must start its work under 'if __name__ == \"__main__\":'" in last


def test_an_estimator_of_given_models_cannot_be_copied(case):
    model = case[0].models["can"]
    with pytest.raises(TypeError, match="given models cannot be copied to another process"):
        pickle.dumps(PoseEstimator(models=[model]))


def test_the_process_ends_with_its_parent(tmp_path):
    """However that one ends."""
    script = tmp_path / "serves.py"
    script.write_text(
        "import os, signal, sys\n"
        "from sdfpose_core.tracking.verifier import Verifier\n"
        "if __name__ == '__main__':\n"
        "    verifier = Verifier(None, 0.5, in_process=True)\n"
        "    print(verifier._submit(os.getpid).result(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    child = int(done.stdout)
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        # A child that has ended may be left for the container's first process to collect.
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail(f"process {child} goes on without its parent")


def test_a_closed_verifier_leaves_no_process_and_can_be_prepared_again(verifier):
    verifier.close()  # with nothing begun
    for _ in range(2):
        assert not verifier.ready
        verifier.prepare()
        assert verifier.ready
        process = Path(f"/proc/{verifier._process.pid}")
        assert process.exists()
        verifier.close()
        deadline = time.monotonic() + 10.0
        while process.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not process.exists()


def test_a_verifier_may_be_closed_while_its_process_starts(verifier):
    verifier._executor()
    verifier.close()
    verifier.prepare()


def test_a_closed_verifier_begins_nothing(case, verifier):
    """The image that is worked on meanwhile may ask for one."""
    verifier.close()
    verifier.begin(case[1], 0)
    assert verifier.pending is None
    assert verifier.due(10, wait=False) is None
    assert verifier._pool is None
    verifier.prepare()
    verifier.begin(case[1], 0)
    assert verifier.pending is case[1]

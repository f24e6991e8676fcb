import os
import pickle
import resource

import numpy as np
import pytest
import torch

from sdfpose_core.errors import WeightsError
from sdfpose_core.storage.checkpoint import load_checkpoint, load_third_party, save_checkpoint

STATE = {"step": 7, "weights": {"a": torch.arange(6.0).view(2, 3)}, "rates": [0.1, 0.2]}


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "work" / "mug.ckpt"
    save_checkpoint(path, STATE)
    state = load_checkpoint(path)
    assert state["step"] == 7
    assert torch.equal(state["weights"]["a"], STATE["weights"]["a"])
    assert [p.name for p in path.parent.iterdir()] == ["mug.ckpt"]


@pytest.mark.parametrize("raw", [False, True])
def test_a_malicious_pickle_runs_nothing(tmp_path, raw):
    path, target = tmp_path / "mug.ckpt", tmp_path / "was_here"
    content = {"step": Malicious(target)}
    if raw:
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    with pytest.raises(
        WeightsError, match=r"mug\.ckpt: refused, it is damaged or contains more than t"
    ):
        load_checkpoint(path)
    assert not target.exists()
    # The trap is a real one: the unrestricted unpickler falls into it.
    if raw:
        pickle.loads(path.read_bytes())  # noqa: S301
    else:
        torch.load(path, weights_only=False)
    assert target.exists()


def test_a_published_file_that_needs_code_is_refused(tmp_path):
    path, target = tmp_path / "pose.pth", tmp_path / "was_here"
    torch.save({"weight": torch.zeros(2), "more": Malicious(target)}, path)
    with pytest.raises(WeightsError, match=r"pose\.pth: refused, .*code from such files is n"):
        load_third_party(path)
    assert not target.exists()
    torch.save({"weight": torch.ones(2)}, path)
    assert load_third_party(path)["weight"].eq(1.0).all()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "mug.ckpt"
    save_checkpoint(path, STATE)

    def full_disk(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, {"step": 8})
    assert load_checkpoint(path)["step"] == 7
    assert [p.name for p in tmp_path.iterdir()] == ["mug.ckpt"]

    def interrupt(state, file):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"step": 8})
    assert [p.name for p in tmp_path.iterdir()] == ["mug.ckpt"]


def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, former[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(tmp_path / "x.ckpt", {"x": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert not list(tmp_path.iterdir())


def test_a_missing_file(tmp_path):
    with pytest.raises(
        WeightsError, match=r"mug\.ckpt: not a readable checkpoint \(.*No such file"
    ):
        load_checkpoint(tmp_path / "mug.ckpt")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
def test_a_truncated_file(tmp_path, share):
    path = tmp_path / "mug.ckpt"
    save_checkpoint(path, STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match=r"mug\.ckpt: (not a readable|refused)"):
        load_checkpoint(path)


def test_random_bytes_are_refused(tmp_path):
    path = tmp_path / "mug.ckpt"
    rng = np.random.default_rng(0)
    for _ in range(30):
        path.write_bytes(rng.bytes(200))
        with pytest.raises(WeightsError, match=r"mug\.ckpt: (not a readable|refused)"):
            load_checkpoint(path)


def test_something_else_is_refused(tmp_path):
    path = tmp_path / "mug.ckpt"
    torch.save([1, 2], path)
    with pytest.raises(WeightsError, match=r"mug\.ckpt: contains a list: expected a checkpoint"):
        load_checkpoint(path)

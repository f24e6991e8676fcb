"""Stages are run once, in order; what was interrupted goes on, and a changed setting is named."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.learning.stages import Stage, Stages


class Work:
    """Three stages, of which the last uses the results of the others."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ran: list[str] = []
        self.failing: set[str] = set()
        self.given = False

    def stages(self, **settings: Any) -> Stages:
        def stage(name: str, *after: str) -> Stage:
            return Stage(
                name,
                ("python", f"{name}.py"),
                {"network": {"width": settings.get(name, 8)}},
                (self.root / name,),
                after,
                may_be_given=self.given,
            )

        return Stages(self.root / "stages", [stage("a"), stage("b"), stage("c", "a", "b")])

    def execute(self, stage: Stage) -> None:
        self.ran.append(stage.name)
        if stage.name in self.failing:
            raise ConfigurationError("no luck")
        stage.makes[0].write_text(stage.name)

    def run(self, names: list[str] | None = None, **settings: Any) -> Stages:
        stages = self.stages(**settings)
        stages.check()
        stages.run(stages.pending(names), self.execute)
        return stages


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_finished_stages_are_not_repeated(work: Work) -> None:
    assert work.stages().state("a") == "missing"
    stages = work.run()
    assert work.ran == ["a", "b", "c"]
    assert [stages.state(x) for x in "abc"] == ["there"] * 3
    work.run()
    assert len(work.ran) == 3
    marker = json.loads((work.root / "stages" / "c" / "stage.json").read_text())
    assert marker["command"] == ["python", "c.py"]
    assert marker["settings"]["network"] == {"width": 8}
    assert set(marker["settings"]) == {"network", "result of a", "result of b"}
    assert stages.seconds("c") == marker["seconds"] >= 0.0


def test_results_that_nothing_pending_uses_may_be_deleted(work: Work) -> None:
    work.run()
    (work.root / "a").unlink()
    assert work.run().state("a") == "partly"
    assert len(work.ran) == 3
    (work.root / "c").unlink()
    work.run()
    assert work.ran[3:] == ["a", "c"]


def test_an_interrupted_stage_goes_on(work: Work) -> None:
    def interrupted(stage: Stage) -> None:
        raise KeyboardInterrupt

    stages = work.stages()
    with pytest.raises(KeyboardInterrupt):
        stages.run(stages.pending(), interrupted)
    assert stages.state("a") == "partly"
    assert stages.state("b") == "missing"
    work.run()
    assert work.ran == ["a", "b", "c"]


def test_after_a_failure_the_others_go_on(work: Work) -> None:
    work.failing = {"a"}
    stages, told = work.stages(), []
    with pytest.raises(
        ConfigurationError, match=r"2 of 3 stages are not finished: a \(failed\), c \(uses a\)"
    ):
        stages.run(stages.pending(), work.execute, told.append)
    assert told == ["stage a: no luck"]
    assert work.ran == ["a", "b"]
    work.failing = set()
    work.run()
    assert work.ran == ["a", "b", "a", "c"]


def test_a_command_that_makes_nothing_has_failed(work: Work) -> None:
    stages, told = work.stages(), []
    with pytest.raises(ConfigurationError, match="not finished"):
        stages.run(stages.pending(["a"]), lambda stage: None, told.append)
    assert "is not there" in told[0]
    assert stages.state("a") == "partly"


def test_changed_settings_are_named(work: Work) -> None:
    work.run()
    with pytest.raises(
        ConfigurationError,
        match=r"stage b was run .*\(network\.width was 8, now 16\).*delete .*stages/b, .*/b to",
    ):
        work.run(b=16)
    (work.root / "a").write_text("another")
    with pytest.raises(ConfigurationError, match=r"stage c .*result of a was .*, now "):
        work.run()


def test_stages_can_be_selected(work: Work) -> None:
    with pytest.raises(ConfigurationError, match=r"c uses the results of a, .*: run a first"):
        work.run(["c", "b"])
    work.run(["b"])
    assert work.ran == ["b"]
    work.run(["c", "a"])
    assert work.ran == ["b", "a", "c"]


def test_results_may_be_given(work: Work) -> None:
    (work.root / "a").write_text("by hand")
    assert work.stages().state("a") == "partly"
    work.given = True
    stages = work.run()
    assert work.ran == ["b", "c"]
    assert stages.seconds("a") is None


def test_two_processes_do_not_run_the_same_stage(work: Work) -> None:
    lock = work.root / "stages" / "a" / ".lock"
    lock.parent.mkdir(parents=True)
    stages, told = work.stages(), []
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match=r"a \(failed\)"):
            stages.run(stages.pending(["a"]), work.execute, told.append)
    assert "another process is running it" in told[0]
    assert work.ran == []


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_state_is_named(content: str, work: Work) -> None:
    work.run()
    (work.root / "stages" / "b" / "stage.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"stage\.json: .*delete .*stages/b, .*/b to"):
        work.run()


def test_folders_count_by_their_names(tmp_path: Path) -> None:
    made = tmp_path / "made"

    def execute(stage: Stage) -> None:
        for path in stage.makes:
            (path / "scene").mkdir(parents=True)

    def stages() -> Stages:
        first = Stage("first", ("x",), {}, (made,))
        return Stages(tmp_path / "stages", [first, Stage("second", ("x",), {}, (), ("first",))])

    stages().run(stages().pending(["first"]), execute)
    stages().run(stages().pending(["second"]), lambda stage: None)
    (made / "scene" / "file").touch()
    stages().check()
    (made / "another").mkdir()
    with pytest.raises(ConfigurationError, match="result of first"):
        stages().check()

"""Stages of a long computation, each a command: finished ones are skipped, others go on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_core.storage.files import write_atomically
from sdfpose_core.storage.locks import locked

__all__ = ["Stage", "StageState", "Stages"]

StageState = Literal["there", "partly", "missing"]

_MARKER = "stage.json"
_LOCK = ".lock"
_DIGITS = 12
"""Length of a digest."""

_MAX_CHANGES = 5
"""Number of changed settings that a message names."""


@dataclass(frozen=True)
class Stage:
    """A command whose results other stages use.

    Attributes:
        name: name, also of the stage's folder.
        command: arguments of Python. The command has to resume by itself when it is repeated.
        settings: what the results depend on, apart from the stages before; JSON-serialisable.
        makes: files and folders that exist when the stage is finished.
        after: names of the stages whose results it uses.
        needs: files and folders it reads that no stage makes.
        may_be_given: whether results that were put there by hand are used as they are.
    """

    name: str
    command: tuple[str, ...]
    settings: Mapping[str, Any]
    makes: tuple[Path, ...]
    after: tuple[str, ...] = ()
    needs: tuple[Path, ...] = ()
    may_be_given: bool = False


class Stages:
    """Stages that share a folder, which keeps the settings and the state of each.

    Args:
        folder: each stage has a folder of its own below, for its checkpoints as well. Delete it
            and the results to repeat the stage.
        stages: all stages, each after those that it uses.
    """

    def __init__(self, folder: Path, stages: Sequence[Stage]) -> None:
        self.folder = folder
        self.stages = {x.name: x for x in stages}
        self._digests: dict[tuple[Path, int, int], str] = {}

    def state(self, name: str) -> StageState:
        """Whether the stage's results are there, it was begun, or nothing is there."""
        stage, marker = self.stages[name], self._marker(name)
        complete = all(x.exists() for x in stage.makes)
        if marker is None:
            if complete and stage.may_be_given:
                return "there"
            return "partly" if any(x.exists() for x in stage.makes) else "missing"
        return "there" if complete and marker.get("state") == "done" else "partly"

    def check(self) -> None:
        """Check that each stage that was begun had the present settings.

        Raises:
            ConfigurationError: it had others; the message names them.
        """
        for name in self.stages:
            marker = self._marker(name)
            if marker is None:
                continue
            before, now = _flat(marker.get("settings")), _flat(self._settings(name))
            known = {x for x in before if not x.startswith("result of ")} | set(now)
            changes = [x for x in [*now, *before] if x in known and before.get(x) != now.get(x)]
            changes = list(dict.fromkeys(changes))
            if changes:
                text = "; ".join(
                    f"{x} was {before.get(x, 'not set')}, now {now.get(x, 'not set')}"
                    for x in changes[:_MAX_CHANGES]
                )
                if len(changes) > _MAX_CHANGES:
                    text += f"; and {len(changes) - _MAX_CHANGES} more"
                raise ConfigurationError(
                    f"stage {name} was run with other settings ({text}): use the same settings, "
                    f"choose another folder, or {self._repetition(name)}"
                )

    def pending(self, names: Sequence[str] | None = None) -> list[Stage]:
        """Stages to run, in order.

        Args:
            names: run only these, if they are not there yet. None for the last stages and
                those that they use and that are not there.

        Raises:
            ConfigurationError: a stage uses results that are not there.
        """
        if names is not None:
            chosen = [x for x in self.stages if x in set(names) and self.state(x) != "there"]
            for name in chosen:
                for other in self.stages[name].after:
                    if other not in chosen and self.state(other) != "there":
                        raise ConfigurationError(
                            f"stage {name} uses the results of {other}, which is not finished: run "
                            f"{other} first"
                        )
            return [self.stages[x] for x in chosen]
        used = {other for x in self.stages.values() for other in x.after}
        wanted = {x for x in self.stages if x not in used}
        found = set()
        for name in reversed(self.stages):  # the stages that use this one come first
            if name in wanted and self.state(name) != "there":
                found.add(name)
                wanted |= set(self.stages[name].after)
        return [x for x in self.stages.values() if x.name in found]

    def run(
        self,
        stages: Sequence[Stage],
        execute: Callable[[Stage], None],
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Run stages in order. If one fails, those that do not use its results still run.

        Args:
            stages: stages, see `pending`.
            execute: runs the command of a stage.
            report: called with one sentence for each failure.

        Raises:
            ConfigurationError: stages failed, or another process is running one of them.
            OSError: the state cannot be written.
        """
        failed: dict[str, str] = {}
        for stage in stages:
            if blocked := [x for x in stage.after if x in failed]:
                failed[stage.name] = f"uses {blocked[0]}"
                continue
            try:
                with locked(self.folder / stage.name / _LOCK, "another process is running it"):
                    self._run(stage, execute)
            except SdfposeError as error:
                failed[stage.name] = "failed"
                report(f"stage {stage.name}: {error}")
        if failed:
            text = ", ".join(f"{name} ({reason})" for name, reason in failed.items())
            raise ConfigurationError(
                f"{len(failed)} of {len(stages)} stages are not finished: {text}: see the messages "
                "above; repeat the command to go on"
            )

    def _run(self, stage: Stage, execute: Callable[[Stage], None]) -> None:
        marker = self._marker(stage.name) or {}
        if marker.get("state") == "done" and self.state(stage.name) == "there":
            return  # finished by another process in the meantime
        marker = {
            "state": "begun",
            "command": list(stage.command),
            "settings": self._settings(stage.name),
            "seconds": marker.get("seconds", 0.0),
        }
        self._write(stage.name, marker)
        start = time.monotonic()
        try:
            execute(stage)
        finally:
            marker["seconds"] = round(marker["seconds"] + time.monotonic() - start, 1)
            self._write(stage.name, marker)
        for path in stage.makes:
            if not path.exists():
                raise ConfigurationError(f"the command has ended, but {path} is not there")
        self._write(stage.name, marker | {"state": "done"})

    def seconds(self, name: str) -> float | None:
        """Wall time that the stage took, interruptions excluded; None if it was not run here."""
        marker = self._marker(name)
        return None if marker is None else marker.get("seconds")

    def _settings(self, name: str) -> dict[str, Any]:
        settings = dict(self.stages[name].settings)
        for other in self.stages[name].after:
            paths = self.stages[other].makes
            if all(x.exists() for x in paths):
                settings[f"result of {other}"] = self._digest(paths)
        return json.loads(json.dumps(settings, default=str))

    def _digest(self, paths: Sequence[Path]) -> str:
        """Digest of the content of files, and of the names in folders."""
        digest = hashlib.sha256()
        for path in paths:
            if path.is_dir():
                digest.update("\n".join(sorted(x.name for x in path.iterdir())).encode())
                continue
            status = path.stat()
            key = (path, status.st_mtime_ns, status.st_size)
            if key not in self._digests:
                with path.open("rb") as file:
                    content = hashlib.sha256()
                    while block := file.read(1 << 20):
                        content.update(block)
                self._digests[key] = content.hexdigest()
            digest.update(self._digests[key].encode())
        return digest.hexdigest()[:_DIGITS]

    def _repetition(self, name: str) -> str:
        paths = ", ".join(str(x) for x in (self.folder / name, *self.stages[name].makes))
        return f"delete {paths} to repeat the stage"

    def _marker(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name / _MARKER
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ConfigurationError(
                f"{path}: is not JSON ({error}): {self._repetition(name)}"
            ) from error
        if not isinstance(content, dict):
            raise ConfigurationError(f"{path}: expected a mapping: {self._repetition(name)}")
        return content

    def _write(self, name: str, marker: Mapping[str, Any]) -> None:
        path = self.folder / name / _MARKER
        write_atomically(path, (json.dumps(marker, indent=1) + "\n").encode())


def _flat(settings: Any, prefix: str = "") -> dict[str, str]:
    """Values of nested settings as JSON, by their names joined with dots."""
    if not isinstance(settings, dict) or not settings:
        return {prefix.rstrip(".") or "settings": json.dumps(settings)}
    found: dict[str, str] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{prefix}{key}.")
    return found

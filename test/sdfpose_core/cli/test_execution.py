"""Errors as one sentence, and standard streams that never raise."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdfpose_core.cli import execution
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.output import precision_table, print_problems, wide_console, write_json
from sdfpose_core.cli.paths import (
    STANDARD_OUTPUT,
    check_input_folder,
    check_new_bag,
    check_output_file,
    check_output_folder,
)
from sdfpose_core.errors import ConfigurationError, SdfposeError

LONG = 300 * "x"


def run_code(body, **options):
    """Run a command in a process of its own."""
    code = f"import sys\nfrom sdfpose_core.cli.execution import execute\n{body}"
    return subprocess.run([sys.executable, "-c", code], check=False, **options)


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SdfposeError("no wave: expected a hand"), "no wave: expected a hand"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "/a: Permission denied: change"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/a"), "expected the name of a file"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/a"), "choose a shorter name"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device: free"),
        (OSError(errno.EIO, "Input/output error", "/a"), "error: /a: Input/output error\n"),
    ],
)
def test_an_error_is_one_sentence(error, message, capsys):
    assert execute("sdfpose", raising(error)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("sdfpose: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError("of a library")])
def test_faults_of_the_program_are_not_hidden(error):
    with pytest.raises(type(error)):
        execute("sdfpose", raising(error))


def test_streams_are_restored(capsys):
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError):
        execute("sdfpose", raising(ZeroDivisionError()))

    def reserve():
        execution.reserve_standard_output()
        print("text")
        return 0

    assert execute("sdfpose", reserve) == 0
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("", "text\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_characters_that_do_not_fit_are_replaced(encoding, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    means = {"n": 2, "iou50": 50.0}
    document = {"iou": "oriented", "misses": "ignore", "mean": means, "spread": {"iou50": 1.0}}

    def command():
        print("Küche ± 火 \udcfc")
        table = precision_table(document | {"per_category": {"火": means}})
        table.add_row("Küche ±", "", "")
        wide_console().print(table)
        print("the end")
        return 0

    assert execute("sdfpose", command) == 0
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert text.endswith("the end\n")
    assert "Küche ±" in text if encoding != "ascii" else "K?che ?" in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_standard_output(tmp_path):
    path = tmp_path / "r.json"
    body = f"""
from pathlib import Path
from sdfpose_core.cli.output import wide_console, write_json
def command():
    write_json(Path({str(path)!r}), {{"n": 1}})
    print("text", flush=True)
    wide_console().print("text")
    return 0
sys.exit(execute("sdfpose", command))
"""
    with Path("/dev/full").open("w") as full:
        done = run_code(body, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "sdfpose: error: standard output cannot be written: No space left on device\n"
    )
    assert json.loads(path.read_text()) == {"n": 1}


def test_a_reader_that_closes_the_pipe_is_no_error():
    body = """
def command():
    for _ in range(100_000):
        print("a line of text")
    return 0
sys.exit(execute("sdfpose", command))
"""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run_code(body, stdout=writer, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_streams():
    body = """
sys.stdout = sys.stderr = None
def command():
    print("text")
    raise OSError(28, "No space left on device")
sys.exit(execute("sdfpose", command))
"""
    assert run_code(body).returncode == 2


def test_json_on_standard_output_stands_alone(capsys):
    def command():
        check_output_file("--json", STANDARD_OUTPUT)
        print("text")
        write_json(STANDARD_OUTPUT, {"n": float("nan"), "name": "Küche", "x": [float("inf"), 1.5]})
        print_problems(["a problem"])
        return 0

    assert execute("sdfpose", command) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"n": None, "name": "Küche", "x": [None, 1.5]}
    assert captured.err == "text\nsdfpose: a problem\n"


@pytest.mark.parametrize("columns", [80, 100])
def test_the_width_is_that_of_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert wide_console().width == columns


@pytest.mark.parametrize("columns", [None, "", "0", "wide"])
def test_a_pipe_has_a_width_of_its_own(columns, monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert wide_console(120).width == 120


def test_outputs_that_can_be_written(tmp_path):
    (tmp_path / "old.json").touch()
    os.mkfifo(tmp_path / "pipe")
    for path in ("old.json", "new.json", "a/b/c.json", "pipe", "x" * 250):
        check_output_file("--json", tmp_path / path)
    for path in (".", "new", "a/b"):
        check_output_folder("--out", tmp_path / path)
    check_new_bag("--out", tmp_path / "a" / "bag")
    for check in (check_output_file, check_output_folder, check_new_bag, check_input_folder):
        check("--option", None)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["old.json", "pipe"]


@pytest.mark.parametrize(
    ("check", "path", "reason"),
    [
        (check_output_file, "folder", "is a folder: expected the name of a file"),
        (check_output_file, "file/r.json", "cannot be written: Not a directory"),
        (check_output_file, "file/new/r.json", "cannot be written: Not a directory"),
        (check_output_file, LONG, "cannot be written: File name too long"),
        (check_output_file, f"{LONG}/r.json", "cannot be written: File name too long"),
        (check_output_folder, "file", "cannot be written: Not a directory"),
        (check_output_folder, "file/new", "cannot be written: Not a directory"),
        (check_output_folder, LONG, "cannot be written: File name too long"),
        (check_new_bag, "folder", "already exists"),
        (check_new_bag, "file/bag", "cannot be written: Not a directory"),
        (check_input_folder, "nowhere", "No such file or directory: expected a folder"),
        (check_input_folder, "file", "Not a directory: expected a folder"),
        (check_input_folder, LONG, "File name too long: expected a folder"),
    ],
)
def test_paths_that_cannot_be_used(check, path, reason, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError) as caught:
        check("--option", tmp_path / path)
    assert str(caught.value).startswith(f"--option {tmp_path / path}: {reason}")


def test_a_file_system_that_takes_no_files():
    with pytest.raises(ConfigurationError, match=r"--out /proc/new: cannot be written"):
        check_output_folder("--out", Path("/proc/new"))

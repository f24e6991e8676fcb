import subprocess
import sys
from importlib import metadata

import pytest

from sdfpose_core.cli import main as cli


def write_command(folder, name, body):
    (folder / f"{name}.py").write_text(
        f'"""`sdfpose {name}`: does 100 % of something."""\n'
        "from sdfpose_core.errors import SdfposeError\n"
        "def add_parser(subparsers):\n"
        f"    subparsers.add_parser({name!r}).add_argument('--count', type=int, default=0)\n"
        f"def run(args):\n    {body}\n"
    )


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Installs a command of another package under a name, with the body of its `run`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    points = {}

    def entry_points(group):
        assert group == "sdfpose.commands"
        return [metadata.EntryPoint(name, value, group) for name, value in points.items()]

    monkeypatch.setattr(metadata, "entry_points", entry_points)

    def install(name, body, module=None):
        if module is None:
            write_command(tmp_path, name, body)
        points[name] = module or name

    yield install
    for name in points:
        sys.modules.pop(name, None)


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("sdfpose ")


def test_a_version_needs_no_heavy_import():
    code = (
        "import sys; from sdfpose_core.cli.main import _parser; _parser(['--help']).format_help();"
        "print([m for m in ('torch', 'open3d', 'cv2', 'rclpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_help_and_no_wrong_argument_waits_for_the_networks():
    code = (
        "import sys; from sdfpose_core.cli.main import full_parser, main; full_parser();"
        "statuses = [main(x.split()) for x in ('estimate --no', 'bench pose', 'learn', 'packs x')];"
        "print(statuses, [m for m in ('torch', 'open3d') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[2, 2, 2, 2] []"


def test_help_lists_the_commands_and_what_is_not_there(command, capsys):
    command("greet", "return 0")
    command("dance", "", module="no_such_package.dance")
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "estimate estimate pose, size and shape of objects in frame folders" in lines
    assert "greet does 100 % of something" in lines
    assert "dance not installed" in lines


def test_a_command_of_another_package_runs(command):
    command("greet", "return args.count")
    assert cli.main(["greet", "--count", "3"]) == 3


def test_an_error_of_the_library_is_one_line(command, capsys):
    command("greet", "raise SdfposeError('no wave: expected a hand')")
    assert cli.main(["greet"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "sdfpose: error: no wave: expected a hand\n"
    assert captured.out == ""


def test_other_errors_are_not_hidden(command):
    command("greet", "raise ZeroDivisionError")
    with pytest.raises(ZeroDivisionError):
        cli.main(["greet"])


def test_interruption(command, capsys):
    command("greet", "raise KeyboardInterrupt")
    assert cli.main(["greet"]) == 130
    assert capsys.readouterr().err == "sdfpose: interrupted\n"


def test_a_command_that_cannot_be_imported_says_why(command, capsys):
    command("dance", "", module="no_such_package.dance")
    assert cli.main(["dance"]) == 2
    assert capsys.readouterr().err == (
        "sdfpose: error: cannot load the command 'dance' from no_such_package.dance: No module "
        "named 'no_such_package' (are its dependencies installed, and is the ROS 2 environment "
        "sourced?)\n"
    )


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["--no-such-option", "greet"]])
def test_wrong_usage(command, capsys, arguments):
    command("greet", "return 0")
    assert cli.main(arguments) == 2
    assert "sdfpose" in capsys.readouterr().err

"""The command `sdfpose bench speed`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import types

import pytest

from sdfpose_core.errors import SdfposeError
from sdfpose_ros.cli import bench_speed

STAGES = {"segment": 1.0, "encode": 2.0, "refine": 3.0, "mesh": 4.0, "total": 10.5}
FIGURES = {
    "objects": 9,
    "machine": {
        "cpu": "Abacus 3",
        "cpus": 2,
        "threads": 1,
        "burst_threads": 2,
        "torch": "2.4",
        "device": "cpu",
    },
    "paper": {"encode": 300.0, "mesh": 8000.25, "icp": 12.0, "total": 8312.25},
    "detect": STAGES,
    "track": {**STAGES, "p95": 17.75},
    "ratio_detect": 791.6,
    "ratio_track": 791.6,
    "scaling": {"1": 2.5, "16": 40.25},
    "points": {"128": 51.5},
    "mesh_resolution": {"64": 22.75},
    "matmul_gflops": 80.0,
    "decoder_gflops": 40.0,
    "peak_fraction": 0.5,
    "peak_fraction_jacobian": 0.375,
    "peak_rss_mib": 512.0,
}


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """Run the command with figures that are there at once; gives status, JSON, options, threads."""

    def bench(*arguments):
        given = []

        def measured(options, progress):
            given.append(options)
            progress("a part")
            return dict(FIGURES)

        monkeypatch.setattr("sdfpose_core.benchmark.speed.benchmark_speed", measured)
        monkeypatch.setattr("sdfpose_core.device.set_threads", given.append)
        parser = argparse.ArgumentParser()
        bench_speed.add_parser(parser.add_subparsers())
        out = tmp_path / "speed.json"
        args = parser.parse_args(["speed", "--json", str(out), *arguments])
        status = args.benchmark(args)
        threads, options = given
        return status, json.loads(out.read_text()), options, threads

    return bench


@pytest.fixture
def node(monkeypatch):
    """Puts something in place of the node's benchmark; gives the options that it was given."""

    def node(measured):
        given = []

        def benchmark_node(options, tell):
            given.append(options)
            return measured()

        module = types.ModuleType("sdfpose_ros.evaluation.node_benchmark")
        module.NodeBenchmark = types.SimpleNamespace
        module.benchmark_node = benchmark_node
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return given

    return node


def test_figures_and_the_nodes_memory(bench, node, capsys):
    given = node(lambda: {"rss_mib": 321.0})
    status, document, options, threads = bench(
        "--objects", "9", "--threads", "3", "--device", "cpu", "--seed", "4", "--repetitions", "7"
    )
    assert status == 0
    assert document == {**FIGURES, "rss_mib": 321.0}
    assert (options.objects, options.repetitions, options.seed) == (9, 7, 4)
    assert (options.device, threads) == ("cpu", 3)
    assert given[0].objects == 6
    assert given[0].node_arguments == ("-p", "threads:=3", "-p", 'device:="cpu"')
    printed = capsys.readouterr().out
    for text in ("8000.25", "17.75", "792", "40.25", "51.50", "22.75", "Abacus 3", "38", "321"):
        assert text in printed


def test_no_node(bench, node, capsys):
    given = node(lambda: {"rss_mib": 321.0})
    status, document, options, threads = bench("--no-node")
    assert (status, document["rss_mib"], given) == (0, None, [])
    assert (options.objects, threads) == (4, 0)
    assert "the memory of the node was not measured: --no-node was given" in capsys.readouterr().err


def test_without_ros(bench, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rclpy", None)
    monkeypatch.delitem(sys.modules, "sdfpose_ros.evaluation.node_benchmark", raising=False)
    status, document, _, _ = bench()
    assert (status, document["rss_mib"]) == (0, None)
    told = capsys.readouterr().err
    assert "the memory of the node was not measured: " in told
    assert "ROS 2 is not installed for" in told


def test_a_node_that_fails_costs_no_other_figure(bench, node, capsys):
    def fail():
        raise SdfposeError("the process 'node' ended")

    node(fail)
    status, document, _, _ = bench()
    assert (status, document["rss_mib"]) == (1, None)
    assert document["ratio_track"] == 791.6
    assert "the process 'node' ended" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objects", "0"], "'0': expected an integer from 1 to 16"),
        (["--objects", "17"], "'17': expected an integer from 1 to 16"),
        (["--threads", "-1"], "'-1': expected an integer of at least 0"),
        (["--seed", "-2"], "'-2': expected an integer of at least 0"),
        (["--repetitions", "0"], "'0': expected an integer of at least 1"),
    ],
)
def test_bad_arguments(bench, arguments, message, capsys):
    with pytest.raises(SystemExit):
        bench(*arguments)
    assert f"argument {arguments[0]}: {message}" in capsys.readouterr().err


def test_the_module_needs_no_ros():
    code = (
        "import sys; sys.modules['rclpy'] = None; import sdfpose_ros.cli.bench_speed;"
        "print('sdfpose_ros.evaluation.node_benchmark' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

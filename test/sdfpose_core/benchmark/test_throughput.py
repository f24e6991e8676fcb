"""How much of the machine's peak the decoder reaches."""

import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sdfpose_core.benchmark import stopwatch, throughput
from sdfpose_core.benchmark.stopwatch import median_ms
from sdfpose_core.benchmark.throughput import jacobian_flops, measure_throughput, value_flops
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder

SMALL = DecoderConfig(code_length=4, width=8, hidden_layers=3)


def test_operations_of_a_small_decoder():
    # Of values 4x8 + 8x8 + 8x8 + 8x1, back 8x8 + 8x8 + 8x4, of codes 3 times 8x4.
    assert value_flops(SMALL) == 2 * 168
    assert jacobian_flops(SMALL) == 2 * (168 + 160 + 96)


@pytest.mark.parametrize("config", [SMALL, DecoderConfig()])
@torch.no_grad()
def test_operations_are_those_that_torch_counts(config):
    decoder, points = SdfDecoder(config), torch.zeros(1, 256, 3)
    of_code = 2 * config.code_length * config.width * config.hidden_layers
    for run, flops in (
        (decoder, value_flops(config)),
        (decoder.value_and_jacobian, jacobian_flops(config)),
    ):
        with FlopCounterMode(display=False) as counter:
            run(points, decoder.code_mean[None])
        assert counter.get_total_flops() - of_code == 256 * flops


def test_rates_are_operations_by_median_times(monkeypatch):
    calls = itertools.count()

    def elapsed_ms(work, device):
        work()
        index = next(calls)  # the first round, which does not count, and the small matrix are slow
        return 1000.0 if index < 4 else {0: 2.0, 1: 4.0, 2: 5.0, 3: 1.0}[index % 4]

    monkeypatch.setattr(throughput, "elapsed_ms", elapsed_ms)
    reached = measure_throughput(SdfDecoder(SMALL), 1, points=100, sides=(8, 16))
    assert reached.values == pytest.approx(100 * 336 / 2e-3 * 1e-9)
    assert reached.jacobian == pytest.approx(100 * 848 / 4e-3 * 1e-9)
    assert reached.matmul == pytest.approx(2 * 16**3 / 1e-3 * 1e-9)
    assert next(calls) == 2 * 4


def test_the_first_run_does_not_count(monkeypatch):
    clock = itertools.accumulate([0.0, 0.005, 1.0, 0.001, 1.0, 0.002])
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: next(clock))
    runs = []
    assert median_ms(lambda: runs.append(1), 3, torch.device("cpu")) == pytest.approx(2.0)
    assert len(runs) == 4

import json
import math

import numpy as np
import pytest
import torch

from sdfpose_core.errors import WeightsError
from sdfpose_core.estimation.confidence import (
    CUES,
    FEATURES,
    KNOWN_FEATURES,
    ConfidenceCase,
    ConfidenceModel,
    confidence_features,
)
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import Solution
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.weights import CONFIDENCE_FILE


def draws(count, seed=0):
    """Features of which only the first two matter: precision is likely where a exceeds b.

    A pose is right if its mode is, with probabilities of any size, and it is precise. All objects
    are known.
    """
    rng = np.random.default_rng(seed)
    names = KNOWN_FEATURES
    values = rng.normal(size=(count, len(names))) * [1, 1, *[3.0] * (len(names) - 2)] + 2.0
    precise = 1.0 / (1.0 + np.exp(-2.0 * (values[:, 0] - values[:, 1])))
    mode = rng.beta(4.0, 1.0, size=count)
    features = [dict(zip(names, row, strict=True)) for row in values]
    return features, list(mode), list(rng.random(count) < mode * precise), mode * precise


def fitted(features, mode, success):
    """A model of known objects."""
    cases = zip(features, mode, success, strict=True)
    return ConfidenceModel.fit([ConfidenceCase(f, p, True, ok) for f, p, ok in cases])


def test_a_fit_finds_the_probabilities_of_a_world_of_modes_and_precision():
    model = fitted(*draws(16_000)[:3])
    fresh, mode, _, probability = draws(500, seed=1)
    predicted = np.array([model.probability(f, p) for f, p in zip(fresh, mode, strict=True)])
    assert np.abs(predicted - probability).mean() < 0.02


def test_failures_of_unlikely_modes_say_little_of_precision():
    """A poor mode is wrong however closely it fits."""
    features, _, _, _ = draws(200)
    success = [i % 2 == 0 for i in range(200)]
    blamed, excused = (
        fitted(features, [1.0 if right else p for right in success], success) for p in (0.99, 0.01)
    )
    assert np.mean([blamed.probability(f) for f in features]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([excused.probability(f) for f in features]) > 0.95


@pytest.mark.parametrize("mode", [0.0, 1.0])
def test_a_mode_that_is_certain_leaves_the_fit_finite(mode):
    features, _, success, _ = draws(100)
    model = fitted(features, [mode] * 100, success)
    assert all(0.0 < model.probability(f) <= 1.0 for f in features)


def test_the_confidence_is_in_proportion_to_the_probability_of_the_mode():
    features, mode, success, _ = draws(200)
    model = fitted(features, mode, success)
    certain = model.probability(features[0])
    assert model.probability(features[0], 0.25) == pytest.approx(0.25 * certain)
    assert model.probability(features[0], 0.0) == 0.0


@pytest.mark.parametrize("shift", [-1.5, 0.0, 1.0])
def test_the_shift_of_a_category_is_found(shift):
    features, mode, success, _ = draws(4000)
    model = fitted(features, mode, success)
    rng = np.random.default_rng(1)
    fresh = draws(4000, seed=2)[:2]
    cases = [
        ConfidenceCase(f, p, True, bool(rng.random() < model.probability(f, p, shift=shift)))
        for f, p in zip(*fresh, strict=True)
    ]
    assert model.fitted_shift(cases) == pytest.approx(shift, abs=0.15)
    # The normal prior: without cases nothing is shifted, and one case decides little.
    assert model.fitted_shift([]) == pytest.approx(0.0, abs=1e-4)
    assert abs(model.fitted_shift(cases[:1])) < 1.0


def test_a_shift_moves_log_odds():
    features = draws(1)[0][0]
    model = ConfidenceModel.constant(precise=0.5)
    assert model.probability(features, 0.8, shift=math.log(3.0)) == pytest.approx(0.6)
    assert model.known(features) == pytest.approx(1.0)


@pytest.mark.parametrize("mode", [0.0, 1.0])
@pytest.mark.parametrize("right", [False, True])
def test_the_shift_stays_finite_for_certain_modes(mode, right):
    cases = [ConfidenceCase(x, mode, True, right) for x in draws(50)[0]]
    assert math.isfinite(ConfidenceModel.constant().fitted_shift(cases))


def test_the_confidence_follows_a_feature():
    features, mode, success, _ = draws(4000)
    model = fitted(features, mode, success)
    better = [model.probability({**features[0], FEATURES[0]: x}) for x in np.linspace(0.5, 3.5, 20)]
    worse = [model.probability({**features[0], FEATURES[1]: x}) for x in np.linspace(0.5, 3.5, 20)]
    assert (np.diff(better) > 0).all()
    assert (np.diff(worse) < 0).all()
    assert 0.0 < min(better) < max(better) < 1.0


def test_a_feature_that_helps_in_the_middle_and_harms_at_the_ends_is_learned():
    """No straight line tells these apart."""
    rng = np.random.default_rng(0)
    cases = []
    for x in rng.uniform(-1.0, 1.0, 2000):
        features = {**dict.fromkeys(KNOWN_FEATURES, 0.0), "size_deviation": x}
        cases.append(ConfidenceCase(features, 1.0, bool(abs(x) < 0.5), False))
    model = ConfidenceModel.fit(cases)
    middle, low, high = (
        model.known({**dict.fromkeys(KNOWN_FEATURES, 0.0), "size_deviation": x})
        for x in (0.0, -0.9, 0.9)
    )
    assert middle > 0.9
    assert max(low, high) < 0.1


def test_extreme_features_count_as_those_that_one_in_twenty_exceeds():
    features, mode, success, _ = draws(200)
    model = fitted(features, mode, success)
    ends = np.quantile([x[FEATURES[0]] for x in features], [0.05, 0.95])
    for end, extreme in zip(ends, (-1e12, 1e12), strict=True):
        at_end, beyond = (
            model.probability({**features[0], FEATURES[0]: x}) for x in (end, extreme)
        )
        assert beyond == at_end


@pytest.mark.parametrize("outcome", [True, False])
def test_success_without_exception_stays_finite(outcome):
    features, mode, _, _ = draws(50)
    model = fitted(features, mode, [outcome] * 50)
    assert all((model.probability(f) > 0.5) == outcome for f in features)


def test_a_feature_that_never_changes_does_no_harm():
    features, mode, success, _ = draws(200)
    features = [{**f, "log_points": 7.0} for f in features]
    model = fitted(features, mode, success)
    assert 0.0 < model.probability(features[0]) < 1.0


def test_what_is_saved_is_loaded(tmp_path):
    features, mode, success, _ = draws(300)
    model = fitted(features, mode, success)
    path = tmp_path / "confidence.json"
    model.save(path)
    loaded = ConfidenceModel.load(path)
    for f in features[:50]:
        assert loaded.probability(f) == pytest.approx(model.probability(f), abs=1e-4)
    content = json.loads(path.read_text())
    assert set(content["precise"]["features"]) == set(FEATURES)
    assert set(content["known"]["features"]) == set(KNOWN_FEATURES)


def test_a_fit_finds_how_likely_an_object_is_known():
    """Precision is learned from the known objects alone."""
    rng = np.random.default_rng(0)
    cases, expected = [], []
    for _ in range(4000):
        features = dict.fromkeys(KNOWN_FEATURES, 0.0)
        features["colour_known"], features["inlier_ratio"] = rng.normal(size=2)
        p = 1.0 / (1.0 + np.exp(1.0 - 2.0 * features["colour_known"]))
        precise = 1.0 / (1.0 + np.exp(-features["inlier_ratio"]))
        known = bool(rng.random() < p)
        cases.append(ConfidenceCase(features, 1.0, known, known and rng.random() < precise))
        expected.append((p, p * precise))
    model = ConfidenceModel.fit(cases)
    found = [(model.known(x.features), model.probability(x.features)) for x in cases]
    assert np.abs(np.array(found) - expected).mean(axis=0).max() < 0.02


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"known": {"bias": 0, "features": {}}}', b"\xff\xfe\x00"]
)
def test_a_damaged_model(tmp_path, content):
    path = tmp_path / "confidence.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(
        WeightsError, match=r"confidence\.json: holds no confidence model \(.*resto"
    ):
        ConfidenceModel.load(path)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("bias", math.nan),
        ("values", [0.0, math.inf]),
        ("values", [0.0]),
        ("knots", [0.0, math.nan]),
        ("knots", [1.0, 1.0]),
        ("knots", []),
    ],
)
@pytest.mark.parametrize("part", ["known", "precise"])
def test_numbers_that_give_no_probability_are_refused(tmp_path, part, where, value):
    path = tmp_path / "confidence.json"
    ConfidenceModel.load().save(path)
    content = json.loads(path.read_text())
    content[part]["features"][FEATURES[3]] = {"knots": [0.0, 1.0], "values": [0.0, 1.0]}
    if where == "bias":
        content[part]["bias"] = value
    else:
        content[part]["features"][FEATURES[3]][where] = value
    path.write_text(json.dumps(content))
    with pytest.raises(WeightsError, match=r"not finite|do not rise"):
        ConfidenceModel.load(path)


def test_a_missing_model(tmp_path):
    with pytest.raises(WeightsError, match=r"holds no confidence model .*FileNotFoundError"):
        ConfidenceModel.load(tmp_path / "confidence.json")


def solution(residual, violation, code, scale, hessian):
    state = ShapePose(
        Similarity(torch.eye(3)[None], torch.zeros(1, 3), torch.tensor([scale])), code[None]
    )
    return Solution(state, torch.zeros(1), hessian[None], residual[None], violation[None])


def instance(points):
    return Instance(
        1,
        "mug",
        1.0,
        np.zeros((points, 3), np.float32),
        np.zeros((points, 2), np.int32),
        FreeSpace.unknown(),
        points,
    )


def test_features_of_a_known_solution():
    priors = Priors(torch.zeros(4), 4.0 * torch.eye(4), torch.tensor(0.2).log(), torch.tensor(0.5))
    hessian = torch.diag(torch.tensor([4.0, 1.0, 16.0, *[1.0] * 8]))
    found = confidence_features(
        solution(
            torch.tensor([0.0, 2.0, -2.0, 3.0]),
            torch.tensor([0.0, 0.5, 1.5, 9.0]),
            torch.tensor([1.0, 0.0, 0.0, 0.0]),
            0.2 * math.e,
            hessian,
        ),
        priors,
        belief=3.0,
        instance=instance(1000),
    )
    assert tuple(found) == KNOWN_FEATURES[: -len(CUES)]
    assert found["inlier_ratio"] == pytest.approx(0.75)
    assert found["residual_rms"] == pytest.approx(math.sqrt(8 / 3))
    assert found["free_space_violation"] == pytest.approx(0.5)
    assert found["code_distance"] == pytest.approx(1.0)
    assert found["size_deviation"] == pytest.approx(2.0, rel=1e-5)
    assert found["belief"] == 3.0
    assert found["log_points"] == pytest.approx(math.log(1000))
    assert found["hidden_outline"] == 1.0
    # Principal standard deviations 1/4, 1/2 and 1: the middle one.
    assert found["rotation_sd"] == pytest.approx(0.5)
    assert found["translation_sd"] == pytest.approx(1.0)


def test_features_stay_finite_where_nothing_fits():
    priors = Priors(torch.zeros(4), torch.eye(4), torch.tensor(0.2).log(), torch.tensor(0.5))
    found = confidence_features(
        solution(torch.full((5,), 50.0), torch.zeros(3), torch.zeros(4), 0.2, torch.eye(11)),
        priors,
        belief=-math.inf,
        instance=instance(1),
    )
    assert found["inlier_ratio"] == 0.0
    assert all(math.isfinite(x) for x in found.values())


def test_the_model_beside_the_weights_goes_before_the_shipped_one(tmp_path):
    features = dict.fromkeys(KNOWN_FEATURES, 0.0)
    shipped = ConfidenceModel.load().probability(features)
    estimator = PoseEstimator(EstimatorConfig(device="cpu", colour="none"))
    assert estimator.confidence.probability(features) == shipped
    ConfidenceModel.constant().save(tmp_path / CONFIDENCE_FILE)
    estimator = PoseEstimator(EstimatorConfig(device="cpu", colour="none"), [tmp_path])
    assert estimator.confidence.probability(features) == pytest.approx(0.5)
    assert shipped != pytest.approx(0.5, abs=1e-3)

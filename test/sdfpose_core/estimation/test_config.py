"""Values of the estimator's configuration."""

import pytest

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.config import EstimatorConfig


@pytest.mark.parametrize("name", ["category_trust", "min_known"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_trust_and_the_least_probability_are_probabilities(name, value):
    with pytest.raises(ConfigurationError, match=rf"{name} is .*from 0 to 1"):
        EstimatorConfig(**{name: value})


@pytest.mark.parametrize("trust", [0.0, 1.0])
def test_labels_may_count_for_nothing_or_everything(trust):
    assert EstimatorConfig(category_trust=trust).category_trust == trust


@pytest.mark.parametrize("points", [0, -3])
def test_an_object_has_at_least_one_point(points):
    with pytest.raises(ConfigurationError, match=r"min_points is .*expected at least 1"):
        EstimatorConfig(min_points=points)

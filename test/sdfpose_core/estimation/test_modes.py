"""Modes of an instance: probabilities, alternatives, and labels that are doubted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.special import softmax

from sdfpose_core.categories import Resting, default_categories
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.confidence import CUES, ConfidenceModel
from sdfpose_core.estimation.detection import Detection, Proposal, earlier_cues
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.estimation.mode_ranking import MODE_FEATURES, ModeRanking
from sdfpose_core.estimation.modes import (
    alternatives_of,
    as_alternative,
    by_probability,
    comparable,
    mode_cues,
)
from sdfpose_core.estimation.report import RefinedHypothesis
from sdfpose_core.estimation.resting import upright_log_density
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.solver import Solution
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.meshing import decode_mesh

CATEGORIES = default_categories()
INDEPENDENT = ModeRanking(
    np.array([float(x in ("cost", "belief", "upright")) for x in MODE_FEATURES])
)
UP = np.array([0.0, -1.0, 0.0], np.float32)
STANDING = np.diag([1.0, -1.0, -1.0])
UPSIDE_DOWN = np.eye(3)
BOX = 1
"""Index of a box among the tiny shapes."""


def instance(category="can", label="", score=1.0, up=None, mask_id=1):
    rng = np.random.default_rng(0)
    points = rng.normal([0.0, 0.0, 0.6], 0.03, (60, 3)).astype(np.float32)
    pixels = np.zeros((60, 2), np.int32)
    return Instance(
        mask_id, category, score, points, pixels, FreeSpace.unknown(), 60, up=up, label=label
    )


@pytest.fixture
def mode(tiny_shapes):
    """Makes modes that differ in what is asked for alone: the log likelihood and the rotation."""
    decoder = tiny_shapes.decoder
    priors = Priors(
        decoder.code_mean,
        torch.linalg.inv(decoder.code_covariance),
        torch.tensor(0.2).log(),
        torch.tensor(0.3),
    )

    def made(seen, *, likelihood=0.0, rotation=STANDING, probability=1.0, shape=BOX):
        state = ShapePose(
            Similarity(
                torch.tensor(rotation, dtype=torch.float32)[None],
                torch.tensor([[0.1, -0.05, 0.6]]),
                torch.tensor([0.2]),
            ),
            tiny_shapes.codes[[shape]],
        )
        solution = Solution(
            state,
            torch.tensor([-2.0 * likelihood]) + priors.cost(state),
            torch.eye(15)[None],
            torch.zeros(1, 8),
            torch.zeros(1, 8),
        )
        model = CategoryModel(CATEGORIES[seen.category], decoder, None, priors, torch.device("cpu"))
        return Detection(model, seen, RefinedHypothesis(solution, 0.0), probability)

    return made


def test_colour_says_nothing_between_categories_that_it_knows_and_others():
    categories = ["can", "kettle", "mug", "mug"]
    known = {"can": True, "kettle": False, "mug": True}
    category, pose = [-0.5, 0.0, -2.0, -2.0], [1.0, 0.0, 3.0, -1.0]
    features = [
        {"cost": float(i), "colour_category": x, "colour_pose": y}
        for i, (x, y) in enumerate(zip(category, pose, strict=True))
    ]
    found = comparable(features, categories, known)
    assert [x["colour_category"] for x in found] == [0.0, 0.0, -1.5, -1.5]
    assert [x["colour_pose"] for x in found] == [0.0, 0.0, 0.0, -4.0]
    assert [x["cost"] for x in found] == [0.0, 1.0, 2.0, 3.0]
    assert features[2]["colour_pose"] == 3.0
    for names in (["can", "mug", "mug"], ["kettle"]):
        rows = features[: len(names)]
        assert comparable(rows, names, known) == rows


def ranked(modes, **config):
    (found,) = by_probability(modes, INDEPENDENT, EstimatorConfig(**config)).values()
    return found


def probabilities(modes, **config):
    """Of each mode, in the order in which they were given."""
    found = {id(x.hypothesis): x.probability for x in ranked(modes, **config)}
    return [found[id(x.hypothesis)] for x in modes]


def test_modes_are_ranked_by_their_likelihood_for_each_mask_id(mode):
    likelihoods = [-3.0, -1.0, -2.0]
    modes = [mode(instance(), likelihood=x) for x in likelihoods]
    alone = mode(instance(mask_id=7), likelihood=-40.0)
    found = by_probability([modes[0], alone, *modes[1:]], INDEPENDENT, EstimatorConfig())
    (only,) = found[7]
    assert only.hypothesis is alone.hypothesis
    assert only.probability == 1.0
    assert [x.hypothesis for x in found[1]] == [modes[i].hypothesis for i in (1, 2, 0)]
    np.testing.assert_allclose(
        [x.probability for x in found[1]], softmax(likelihoods)[[1, 2, 0]], rtol=1e-3
    )


@pytest.mark.parametrize(
    ("trust", "score", "right"),
    [
        (0.98, 1.0, 0.99),
        (0.5, 1.0, 0.75),
        (0.8, 0.5, 0.7),
        (0.0, 1.0, 0.5),
        (1.0, 0.0, 0.5),
        (1.0, 1.0, 1.0),
        (0.98, math.nan, 0.5),
        (0.98, -1.0, 0.5),
        (0.98, math.inf, 0.99),
    ],
)
def test_the_label_is_right_as_often_as_trust_and_score_say(mode, trust, score, right):
    """A wrong label may mean any category, the right one among them."""
    modes = [mode(instance(x, "bottle", score)) for x in ("bottle", "can")]
    found = probabilities(modes, category_trust=trust)
    assert found == pytest.approx([right, 1.0 - right], rel=1e-4)


def test_what_speaks_against_a_label_can_outweigh_it(mode):
    modes = [
        mode(instance("bottle", "bottle"), likelihood=-9.0),
        mode(instance("can", "bottle"), likelihood=-1.0),
    ]
    assert ranked(modes)[0].instance.category == "can"
    assert ranked(modes, category_trust=1.0)[0].instance.category == "bottle"
    assert probabilities(modes, category_trust=1.0) == [1.0, 0.0]


@pytest.mark.parametrize("trust", [0.98, 1.0])
@pytest.mark.parametrize("label", ["", "mug"])
def test_categories_are_alike_under_no_label_and_under_one_that_is_not_tried(mode, label, trust):
    modes = [mode(instance(x, label)) for x in ("bottle", "can")]
    assert probabilities(modes, category_trust=trust) == pytest.approx([0.5, 0.5])


def test_the_direction_up_makes_standing_likelier_than_upside_down(mode):
    modes = [
        mode(instance(up=UP), likelihood=0.0, rotation=UPSIDE_DOWN),
        mode(instance(up=UP), likelihood=-1.0, rotation=STANDING),
    ]
    expected = [
        x + upright_log_density(cosine, Resting(), "usual")
        for x, cosine in ((0.0, -1.0), (-1.0, 1.0))
    ]
    usual = probabilities(modes)
    assert usual == pytest.approx(softmax(expected), rel=1e-3)
    assert usual[1] > 0.9
    assert probabilities(modes, upright="sure")[1] > usual[1]
    assert probabilities(modes, upright="free") == pytest.approx(softmax([0.0, -1.0]), rel=1e-3)
    unknown = [replace(x, instance=instance()) for x in modes]
    assert probabilities(unknown) == pytest.approx(softmax([0.0, -1.0]), rel=1e-3)


def test_the_cues_of_a_mode_are_parts_of_its_likelihood_and_its_probability():
    features = {name: float(i) for i, name in enumerate(MODE_FEATURES, start=1)}
    cues = mode_cues(features, 0.7)
    assert tuple(cues) == CUES
    assert cues.pop("mode_probability") == 0.7
    assert cues == {name: features[name] for name in cues}


@pytest.mark.parametrize("rotations", [(STANDING,), (STANDING, UPSIDE_DOWN)])
def test_ranked_modes_have_the_cues_of_their_own(mode, rotations):
    modes = [mode(instance(up=UP), rotation=x) for x in rotations]
    found = ranked(modes)
    assert len(found) == len(modes)
    for x, cosine in zip(found, (1.0, -1.0), strict=False):
        assert x.cues == {
            "upright": pytest.approx(upright_log_density(cosine, Resting(), "usual"), rel=1e-4),
            "colour_pose": 0.0,
            "colour_category": 0.0,
            "mode_probability": x.probability,
        }
        assert {name: x.features[name] for name in CUES} == x.cues


def test_a_tracked_pose_keeps_what_was_found_when_it_was_detected(mode):
    """What is seen of it now has neither colour nor shape that was looked at."""
    seen = replace(instance(up=UP), colour_log_odds=2.5, shape_log_odds=-1.5)
    (estimate,) = Scripted([mode(seen)]).estimate([seen]).estimates
    cues = earlier_cues(estimate)
    assert set(cues) == {*CUES, "colour_known", "shape_known"}
    assert (cues["colour_known"], cues["shape_known"]) == (2.5, -1.5)
    assert cues["mode_probability"] == 1.0
    assert cues["upright"] != 0.0
    tracked = replace(mode(instance()), cues=cues)
    assert {name: tracked.features[name] for name in cues} == cues
    unknown = replace(estimate, diagnostics={})
    assert set(earlier_cues(unknown).values()) == {0.0}


def test_how_a_category_rests_comes_from_its_table(mode):
    """Laptops are never upside down: what remains is the doubt that the direction is up."""
    odds = {}
    for category in ("can", "laptop"):
        modes = [mode(instance(category, up=UP), rotation=x) for x in (STANDING, UPSIDE_DOWN)]
        standing, upside_down = probabilities(modes)
        odds[category] = standing / upside_down
    assert odds["can"] == pytest.approx(0.88 / 0.02, rel=0.02)
    assert odds["laptop"] > 50.0 * odds["can"]


def test_an_alternative_has_the_box_of_its_mesh(mode, tiny_shapes):
    turned = Rotation.from_euler("xyz", [30, 50, 70], degrees=True).as_matrix()
    for shape in range(6):
        rival = mode(instance("can"), rotation=turned, probability=0.25, shape=shape)
        found = as_alternative(rival, 0.5)
        mesh = decode_mesh(tiny_shapes.decoder, tiny_shapes.codes[shape], 48)
        np.testing.assert_allclose(found.dimensions_m, 0.2 * mesh.sides, rtol=0.03)
        diagonal = float(np.linalg.norm(0.2 * mesh.sides))
        assert found.scale == pytest.approx(diagonal, rel=0.03)
        centre = np.array([0.1, -0.05, 0.6]) + 0.2 * turned @ mesh.centre
        np.testing.assert_allclose(found.translation, centre, atol=0.02 * diagonal)
        np.testing.assert_allclose(found.rotation, turned, atol=1e-6)
        assert (found.category, found.probability) == ("can", 0.5)


class Shifted:
    """A decoder whose shapes are not in the middle of their frame."""

    def __init__(self, decoder, shift):
        self.decoder, self.shift = decoder, torch.tensor(shift)

    def __call__(self, points, codes):
        return self.decoder(points - self.shift, codes)

    def value_and_gradient(self, points, codes):
        return self.decoder.value_and_gradient(points - self.shift, codes)


def test_an_alternative_is_where_the_middle_of_its_box_is(mode):
    sphere, shift = 0, (0.05, -0.04, 0.03)
    turned = Rotation.from_euler("xyz", [30, 50, 70], degrees=True).as_matrix()
    rival = mode(instance(), rotation=turned, shape=sphere)
    model = replace(rival.model, decoder=Shifted(rival.model.decoder, shift))
    found, middle = as_alternative(replace(rival, model=model)), as_alternative(rival)
    moved = found.translation - middle.translation
    np.testing.assert_allclose(moved, 0.2 * turned @ shift, atol=1e-3)


def test_alternatives_and_the_chosen_mode_sum_to_one_and_the_unlikely_are_left_out(mode):
    shares = [0.6, 0.3, 0.097, 0.003]
    modes = [mode(instance(), probability=x) for x in shares]
    probability, rivals = alternatives_of(modes)
    assert [probability, *(x.probability for x in rivals)] == pytest.approx(
        [x / 0.997 for x in shares[:3]]
    )
    assert probability + math.fsum(x.probability for x in rivals) == pytest.approx(1.0)


def test_a_chosen_mode_is_reported_however_unlikely_and_one_alone_has_no_rivals(mode):
    modes = [mode(instance(), probability=x) for x in (0.001, 0.999)]
    probability, (rival,) = alternatives_of(modes)
    assert (probability, rival.probability) == pytest.approx((0.001, 0.999))
    assert alternatives_of(modes[:1]) == (0.001, ())


def confidence(probability):
    """A model that is as confident as that of every mode that is certain."""
    return ConfidenceModel.constant(precise=probability)


class Scripted(PoseEstimator):
    """Finds the modes that it is given, by category."""

    def __init__(self, modes, explained=0.9, **config):
        settings = EstimatorConfig(colour="none", device="cpu", mesh_resolution=32, **config)
        models = {x.model.category.name: x.model for x in modes}
        super().__init__(
            settings,
            confidence=confidence(explained),
            ranking=INDEPENDENT,
            models=models.values(),
        )
        self.recognition = None
        self.by_name = models
        self.modes = modes
        self.tried = []

    def encode(self, groups):
        return [Proposal(x, y, None) for x, y in groups if x.category.name in self.by_name]

    def search(self, proposals, colour=None, *, draft=False):
        return proposals

    def refine(self, batches):
        seen = [x for proposal in batches for x in proposal.instances]
        self.tried += [x.category for x in seen]
        return [
            replace(mode, instance=x)
            for x in seen
            for mode in self.modes
            if mode.instance.category == x.category
        ]


def test_a_label_that_explains_little_leads_to_every_other_category(mode):
    seen = instance("bottle", "bottle")
    doubtful = {1: [mode(seen)]}
    found = Scripted([mode(seen)], explained=0.1).doubted(doubtful)
    assert [x.category for x in found] == [x for x in CATEGORIES if x != "bottle"]
    assert all((x.mask_id, x.label) == (1, "bottle") for x in found)
    assert all(x.points is seen.points for x in found)


@pytest.mark.parametrize(
    ("trust", "doubted"), [(0.0, True), (0.3, True), (0.5, False), (1.0, False)]
)
def test_labels_that_are_hardly_trusted_are_doubted_sooner(mode, trust, doubted):
    seen = mode(instance("bottle", "bottle"))
    found = Scripted([seen], explained=0.6, category_trust=trust).doubted({1: [seen]})
    assert bool(found) == doubted


@pytest.mark.parametrize(
    ("label", "options"),
    [
        ("bottle", {"explained": 0.6}),
        ("bottle", {"explained": 0.1, "category_trust": 1.0}),
        ("", {"explained": 0.1}),
    ],
)
def test_labels_that_explain_enough_or_are_orders_and_unknown_ones_are_not_doubted(
    mode, label, options
):
    found = mode(instance("bottle", label))
    assert Scripted([found], **options).doubted({1: [found]}) == []


def test_where_other_categories_were_tried_the_label_is_not_doubted_again(mode):
    modes = [mode(instance(x, "bottle"), probability=0.5) for x in ("can", "bottle")]
    assert Scripted(modes, explained=0.1).doubted({1: modes}) == []


@pytest.fixture
def bottle_or_can(mode):
    """Modes of an object that a bottle explains badly, and a can well."""
    return [mode(instance("bottle"), likelihood=-20.0), mode(instance("can"), likelihood=-1.0)]


def only_two(estimator):
    estimator.categories = {x: CATEGORIES[x] for x in ("bottle", "can")}
    return estimator


def test_a_can_under_the_label_of_a_bottle_is_found_as_a_can(bottle_or_can):
    estimator = only_two(Scripted(bottle_or_can, explained=0.2))
    result = estimator.estimate([instance("bottle", "bottle")])
    (found,) = result.estimates
    assert estimator.tried == ["bottle", "can"]
    assert found.category == "can"
    assert [x.instance.category for x in result.modes[1]] == ["can", "bottle"]
    assert found.probability == pytest.approx(1.0, abs=1e-4)
    assert found.confidence == pytest.approx(0.2 * found.probability, rel=1e-5)


@pytest.mark.parametrize("options", [{"explained": 0.9}, {"category_trust": 1.0, "explained": 0.2}])
def test_a_label_that_is_believed_costs_no_other_search(bottle_or_can, options):
    estimator = only_two(Scripted(bottle_or_can, **options))
    (found,) = estimator.estimate([instance("bottle", "bottle")]).estimates
    assert found.category == "bottle"
    assert estimator.tried == ["bottle"]


def test_a_draft_tries_what_it_is_told_and_nothing_else(bottle_or_can):
    """A verification names the categories itself."""
    estimator = only_two(Scripted(bottle_or_can, explained=0.2))
    (found,) = estimator.estimate([instance("bottle", "bottle")], draft=True).estimates
    assert (found.category, estimator.tried) == ("bottle", ["bottle"])
    tried = [instance(x, "bottle") for x in ("bottle", "can")]
    (found,) = estimator.estimate(tried, draft=True).estimates
    assert found.category == "can"


def test_the_confidence_is_that_of_the_mode_times_that_of_being_precise(mode):
    turned = Rotation.from_euler("x", 60, degrees=True).as_matrix() @ STANDING
    modes = [mode(instance()), mode(instance(), likelihood=-1.0, rotation=turned)]
    (found,) = Scripted(modes).estimate([instance()]).estimates
    share = 1.0 / (1.0 + math.exp(-1.0))
    assert found.probability == pytest.approx(share, rel=1e-3)
    assert found.confidence == pytest.approx(0.9 * share, rel=1e-3)
    (rival,) = found.alternatives
    assert rival.probability == pytest.approx(1.0 - share, rel=1e-3)


def test_the_other_end_of_what_has_two_alike_is_no_rival(mode):
    sphere = 0
    modes = [
        mode(instance(), shape=sphere),
        mode(instance(), shape=sphere, likelihood=-1.0, rotation=UPSIDE_DOWN),
    ]
    (found,) = Scripted(modes).estimate([instance()]).estimates
    assert len(found.symmetries) == 1
    assert (found.probability, found.alternatives) == (1.0, ())
    assert found.confidence == pytest.approx(0.9)

from dataclasses import dataclass, field

import pytest

from sdfpose_core.encoder.ssc6d_training import Ssc6dTrainingConfig
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.sdf.deepsdf_training import DeepSdfTrainingConfig
from sdfpose_core.sdf.training import DecoderTrainingConfig
from sdfpose_core.selfsup.ssc6d_training import Ssc6dSelfSupervision
from sdfpose_core.storage.configuration import build, read_configuration


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    steps: int = 10


@dataclass(frozen=True)
class Outer:
    name: str
    fast: bool = False
    inner: Inner = field(default_factory=Inner)


def write(tmp_path, text):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return path


def test_keys_that_are_left_out_keep_their_defaults(tmp_path):
    path = write(tmp_path, "name: mug\ninner: {steps: 3}\n")
    assert read_configuration(path, Outer) == Outer("mug", False, Inner(0.5, 3))
    assert read_configuration(str(write(tmp_path, "")), Inner) == Inner()


def test_whole_numbers_are_numbers(tmp_path):
    value = read_configuration(write(tmp_path, "rate: 2"), Inner).rate
    assert (value, type(value)) == (2.0, float)


def test_an_unknown_key_names_the_file_and_the_nearest_one(tmp_path):
    path = write(tmp_path, "name: mug\ninner: {stepz: 3}\n")
    with pytest.raises(
        ConfigurationError,
        match=r"settings\.yaml: inner: unknown key 'stepz' \(did you mean 'steps'\?\): expected ra",
    ):
        read_configuration(path, Outer)
    with pytest.raises(ConfigurationError, match="here: unknown key 'xyzzy': expected rate, steps"):
        build(Inner, {"xyzzy": 1}, "here")


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("steps", 1.5, "int"),
        ("steps", True, "int"),
        ("steps", "10", "int"),
        ("steps", None, "int"),
        ("rate", "fast", "float"),
        ("rate", False, "float"),
        ("rate", [0.5], "float"),
    ],
)
def test_an_ill_typed_value(key, value, wanted):
    with pytest.raises(ConfigurationError) as caught:
        build(Inner, {key: value}, "settings.yaml")
    assert str(caught.value) == f"settings.yaml: {key} is {value!r}: expected {wanted}"


@dataclass(frozen=True)
class Lists:
    pairs: tuple[tuple[float, str], ...] = ()

    def __post_init__(self):
        if len(self.pairs) > 2:
            raise ConfigurationError("there are too many pairs")


def test_lists_become_tuples(tmp_path):
    read = read_configuration(write(tmp_path, "pairs: [[0, a], [1.5, b]]"), Lists)
    assert read == Lists(((0.0, "a"), (1.5, "b")))
    assert read_configuration(write(tmp_path, "pairs: []"), Lists) == Lists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, r"pairs is 3: expected a list of \[float, str\]"),
        ([3], r"pairs is 3: expected \[float, str\]"),
        ([[1.0, "a", 2]], r"pairs is \[1\.0, 'a', 2\]: expected \[float, str\]"),
        ([["a", "a"]], "pairs is 'a': expected float"),
        ([[1.0, "a"]] * 3, "here: there are too many pairs"),
    ],
)
def test_ill_formed_lists(value, message):
    with pytest.raises(ConfigurationError, match=message):
        build(Lists, {"pairs": value}, "here")


def test_texts_and_truth_values_are_not_converted():
    for key, value in (("name", 3), ("fast", 1), ("fast", "yes")):
        with pytest.raises(ConfigurationError, match=rf"here: {key} is {value!r}: expected"):
            build(Outer, {"name": "mug", key: value}, "here")


def test_a_missing_key():
    with pytest.raises(ConfigurationError, match=r"here: .*missing 1 required .*'name'"):
        build(Outer, {"fast": True}, "here")


@pytest.mark.parametrize("content", ["[1, 2]", "text", "3"])
def test_a_file_without_a_mapping(tmp_path, content):
    with pytest.raises(ConfigurationError, match=r"settings\.yaml: expected a mapping, found"):
        read_configuration(write(tmp_path, content), Inner)
    with pytest.raises(ConfigurationError, match="here: inner: expected a mapping, found 3"):
        build(Outer, {"name": "mug", "inner": 3}, "here")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"missing\.yaml: cannot be read as YAML: .*No such"
    ):
        read_configuration(tmp_path / "missing.yaml", Inner)
    with pytest.raises(ConfigurationError, match="cannot be read as YAML"):
        read_configuration(write(tmp_path, "rate: {"), Inner)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"binary\.yaml: cannot be read as YAML"):
        read_configuration(binary, Inner)


@pytest.mark.parametrize(
    ("kind", "values", "problem"),
    [
        (Ssc6dTrainingConfig, {"batch": 0}, "batch is 0: expected at least 1"),
        (Ssc6dTrainingConfig, {"encoder": {"image_size": 20}}, "expected a multiple of 8"),
        (DeepSdfTrainingConfig, {"points_at_once": 0}, "points_at_once is 0: expected at least 1"),
        (DeepSdfTrainingConfig, {"shapes_per_step": -1}, "shapes_per_step is -1: expected at"),
        (DeepSdfTrainingConfig, {"decoder": {"width": 19}}, "width is 19: expected more than 19"),
        (DeepSdfTrainingConfig, {"decoder": {"clamp": 0.0}}, "clamp is 0.0: expected more than 0"),
        (DecoderTrainingConfig, {"validate_every": 0}, "validate_every is 0: expected at least 1"),
        (Ssc6dSelfSupervision, {"mirror_probability": 2.0}, "mirror_probability is 2.0: expected"),
        (Ssc6dSelfSupervision, {"first_epoch": -1.0}, "first_epoch is -1.0: expected at least 0"),
    ],
)
def test_settings_of_trainings_that_make_no_sense_are_named(
    kind: type, values: dict[str, object], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem) as error:
        build(kind, values, "my.yaml")
    assert str(error.value).startswith("my.yaml: ")

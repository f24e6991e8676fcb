"""Parameters of the planning scene node."""

from __future__ import annotations

from dataclasses import dataclass

from sdfpose_core.geometry.collision import MIN_TRIANGLES
from sdfpose_ros.graph.parameters import parameter
from sdfpose_ros.planning_scene.scene_updates import SceneRules

__all__ = ["SHAPES", "PlanningSceneNodeParameters"]

SHAPES = ("mesh", "convex", "primitive")
"""Kinds of collision geometry."""

_RULES = SceneRules()


@dataclass(frozen=True)
class PlanningSceneNodeParameters:
    """Parameters of the planning scene node."""

    planning_frame: str = parameter(
        "",
        "Frame of the collision objects; /tf brings the poses into it at the time of the image; "
        "empty for the frame of the pose node's messages.",
    )
    shape: str = parameter(
        "mesh",
        "Collision geometry: the surface (mesh), its convex hull (convex), or a box or cylinder "
        "(primitive).",
        choices=SHAPES,
    )
    max_triangles: int = parameter(
        1000,
        "Meshes and hulls are simplified to at most this many triangles.",
        minimum=MIN_TRIANGLES,
        maximum=100_000,
    )
    padding_m: float = parameter(
        0.0,
        "Distance by which the collision geometry is larger than the object on every side, metres.",
        minimum=0.0,
        maximum=0.2,
    )
    subframes: bool = parameter(
        True,
        "Give the collision objects the frames of their parts as subframes, for example "
        "mug_3/handle; needs a mesh.",
    )
    id_prefix: str = parameter(
        "", "Prefix of the collision objects' ids, such as left_; they are <category>_<id>."
    )
    weights_dirs: tuple[str, ...] = parameter(
        (),
        "Packs of categories, or folders of packs, beside those of the package; those of the pose "
        "node.",
    )
    min_confidence: float = parameter(
        _RULES.min_confidence,
        "Least confidence of an object that is added.",
        minimum=0.0,
        maximum=1.0,
    )
    min_move_m: float = parameter(
        _RULES.min_move_m,
        "An object is moved in the scene when it moved by more than this, metres.",
        minimum=0.0,
        maximum=1.0,
    )
    min_turn_deg: float = parameter(
        _RULES.min_turn_deg,
        "An object is moved in the scene when it turned by more than this, degrees.",
        minimum=0.0,
        maximum=180.0,
    )
    min_size_change: float = parameter(
        _RULES.min_size_change,
        "An object is added anew when a side of its box changed by more than this share.",
        minimum=0.0,
        maximum=10.0,
    )
    min_shape_period_s: float = parameter(
        _RULES.min_shape_period_s,
        "Shortest time until an object is added anew because its mesh changed, seconds.",
        minimum=0.0,
        maximum=3600.0,
    )
    remove_after_s: float = parameter(
        _RULES.remove_after_s,
        "An object is removed when it was lost for this long, seconds.",
        minimum=0.0,
        maximum=3600.0,
    )
    transform_timeout_s: float = parameter(
        0.1, "Timeout of the lookup of a transform in /tf, seconds.", minimum=0.0, maximum=10.0
    )

    def rules(self) -> SceneRules:
        """When the scene is changed."""
        return SceneRules(
            min_confidence=self.min_confidence,
            min_move_m=self.min_move_m,
            min_turn_deg=self.min_turn_deg,
            min_size_change=self.min_size_change,
            min_shape_period_s=self.min_shape_period_s,
            remove_after_s=self.remove_after_s,
        )

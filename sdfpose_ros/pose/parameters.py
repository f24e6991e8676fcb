"""Parameters of the pose node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sdfpose_ros.graph.parameters import parameter

__all__ = ["PoseNodeParameters"]


@dataclass(frozen=True)
class PoseNodeParameters:
    """Parameters of the pose node."""

    autostart: bool = parameter(
        True,
        "Whether the node configures and activates itself; if not, a lifecycle manager or the user "
        "does.",
    )
    device: str = parameter(
        "auto", "Where networks run: auto, cpu, cuda or cuda:N.", change="unconfigured"
    )
    threads: int = parameter(
        0,
        "CPU threads of the networks; 0 for all cores but one, which the rest of the graph needs, "
        "and for all where a new object is detected.",
        minimum=0,
        maximum=1024,
        change="unconfigured",
    )
    encoder: Literal["fast", "ssc6d", "none"] = parameter(
        "fast",
        "Where first poses come from: a network, that of SSC-6D, or none for search.",
        choices=("fast", "ssc6d", "none"),
        change="unconfigured",
    )
    refine: Literal["sdf", "icp", "none"] = parameter(
        "sdf",
        "How poses are refined: against the signed distance function, by ICP, or not.",
        choices=("sdf", "icp", "none"),
        change="unconfigured",
    )
    weights_dir: str = parameter(
        "", "Folder of the weights; empty for those of the package.", change="unconfigured"
    )
    wait_for_verification: bool = parameter(
        False,
        "Whether an image waits for the test of a pose whose outcome is to be used in it, so that "
        "results do not depend on the machine's speed; for bags in lockstep.",
        change="unconfigured",
        former_name="wait_for_trials",
    )
    category: str = parameter(
        "",
        "Category of every mask id that mask_categories does not name; 'any' to find it out; "
        "empty for none.",
        change="always",
    )
    mask_categories: tuple[str, ...] = parameter(
        (), "Categories of mask ids, for example ['1:mug', '2:bowl'].", change="always"
    )
    colour_transport: Literal["raw", "compressed"] = parameter(
        "raw",
        "How colour images come; compressed ones on the topic's name with /compressed behind it.",
        choices=("raw", "compressed"),
        change="always",
    )
    depth_transport: Literal["raw", "compressed", "compressedDepth"] = parameter(
        "raw",
        "How depth images come; compressed ones on the topic's name with the transport's behind "
        "it.",
        choices=("raw", "compressed", "compressedDepth"),
        change="always",
    )
    mask_transport: Literal["raw", "compressed"] = parameter(
        "raw",
        "How masks come; compressed ones as PNG.",
        choices=("raw", "compressed"),
        change="always",
    )
    queue_size: int = parameter(
        20,
        "Messages kept for each input while the others are awaited; a mask that comes n images "
        "late needs n + 1.",
        minimum=1,
        maximum=1000,
        change="always",
    )
    slop_s: float = parameter(
        0.02,
        "Largest difference of stamps within a frame, seconds.",
        minimum=1e-6,
        maximum=10.0,
        change="always",
    )
    publish_meshes: bool = parameter(True, "Whether messages carry meshes.", change="always")
    publish_markers: bool = parameter(
        True, "Whether markers are published while somebody listens.", change="always"
    )
    publish_overlay: bool = parameter(
        True,
        "Whether the image with the results drawn in is published while somebody listens.",
        change="always",
    )
    frame_prefix: str = parameter(
        "",
        "First part of the objects' frame names; empty for sdfpose and the node's namespace.",
        change="unconfigured",
    )
    target_frame: str = parameter(
        "",
        "Frame in which /tf gives the poses; empty for the camera's. Needs tf2_ros.",
        change="unconfigured",
    )
    transform_timeout_s: float = parameter(
        0.1,
        "How long to wait for the transform to target_frame, seconds.",
        minimum=0.0,
        maximum=10.0,
        change="unconfigured",
    )
    mesh_dir: str = parameter("", "Folder into which ~/save_mesh writes; empty to refuse it.")

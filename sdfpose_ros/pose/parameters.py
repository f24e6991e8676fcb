"""Parameters of the pose node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sdfpose_ros.graph.parameters import parameter
from sdfpose_ros.pose.mask_names import MASKS, TOPIC

__all__ = ["PoseNodeParameters"]


@dataclass(frozen=True)
class PoseNodeParameters:
    """Parameters of the pose node."""

    autostart: bool = parameter(
        True,
        "Configure and activate the node on startup; otherwise a lifecycle manager or the user "
        "has to do it.",
    )
    device: str = parameter(
        "auto", "Device of the networks: auto, cpu, cuda or cuda:N.", change="unconfigured"
    )
    threads: int = parameter(
        0,
        "CPU threads of the networks; 0 for all cores but one, which is left to the rest of the "
        "graph, and for all cores when a new object is detected.",
        minimum=0,
        maximum=1024,
        change="unconfigured",
    )
    encoder: Literal["fast", "ssc6d", "none"] = parameter(
        "fast",
        "Source of the initial pose: fast (network), ssc6d (network of SSC-6D) or none (search).",
        choices=("fast", "ssc6d", "none"),
        change="unconfigured",
    )
    refine: Literal["sdf", "icp", "none"] = parameter(
        "sdf",
        "Pose refinement: sdf (against the signed distance function), icp or none.",
        choices=("sdf", "icp", "none"),
        change="unconfigured",
    )
    upright: Literal["free", "usual", "sure"] = parameter(
        "usual",
        "How usual it is that objects stand upright, against gravity or on their support plane: "
        "free (says nothing), usual (as often as in the table of categories) or sure (always).",
        choices=("free", "usual", "sure"),
        change="unconfigured",
    )
    category_trust: float = parameter(
        0.98,
        "How far the categories of labels are trusted; 1 keeps them all.",
        minimum=0.0,
        maximum=1.0,
        change="unconfigured",
    )
    min_known: float = parameter(
        0.3,
        "Masks labelled any or by a detector are skipped if they show an object of any of the "
        "categories with a smaller probability; 0 keeps all.",
        minimum=0.0,
        maximum=1.0,
        change="unconfigured",
    )
    colour: Literal["auto", "none"] = parameter(
        "auto",
        "Use of colour where depth leaves category or pose open: auto or none.",
        choices=("auto", "none"),
        change="unconfigured",
    )
    weights_dirs: tuple[str, ...] = parameter(
        (),
        "Packs of categories, or folders of packs, beside those of the package; one of the same "
        "name takes the place of that of the package.",
        change="unconfigured",
        former_name="weights_dir",
    )
    wait_for_verification: bool = parameter(
        False,
        "Wait for the verification of a pose before the image that is to use its result, so that "
        "results do not depend on the speed of the machine; for bags in lockstep.",
        change="unconfigured",
        former_name="wait_for_trials",
    )
    masks: str = parameter(
        TOPIC,
        "Source of the instance masks: topic takes them from ~/mask and ~/labels. The others make "
        "them in this node and publish them there: tabletop (objects on a table), network (any "
        "objects) or torchvision (Mask R-CNN).",
        choices=MASKS,
        change="unconfigured",
    )
    category: str = parameter(
        "",
        "Category of the mask ids that mask_categories does not list; 'any' to let the node "
        "classify them; empty for none.",
        change="always",
    )
    mask_categories: tuple[str, ...] = parameter(
        (), "Categories of individual mask ids, for example ['1:mug', '2:bowl'].", change="always"
    )
    depth_unit: float = parameter(
        0.0,
        "Metres per unit of depth, for example 0.0001 for depth in 0.1 mm; 0 for millimetres in "
        "16-bit and metres in float images.",
        minimum=0.0,
        maximum=1.0,
        change="always",
    )
    colour_transport: Literal["raw", "compressed"] = parameter(
        "raw",
        "Transport of the colour images; compressed is read from TOPIC/compressed.",
        choices=("raw", "compressed"),
        change="always",
    )
    depth_transport: Literal["raw", "compressed", "compressedDepth"] = parameter(
        "raw",
        "Transport of the depth images; a compressed one is read from TOPIC/TRANSPORT.",
        choices=("raw", "compressed", "compressedDepth"),
        change="always",
    )
    mask_transport: Literal["raw", "compressed"] = parameter(
        "raw",
        "Transport of masks from a topic; compressed has to be PNG, read from TOPIC/compressed.",
        choices=("raw", "compressed"),
        change="always",
    )
    queue_size: int = parameter(
        20,
        "Messages kept per input until the other inputs arrive; a mask that arrives n images late "
        "needs n + 1.",
        minimum=1,
        maximum=1000,
        change="always",
    )
    slop_s: float = parameter(
        0.02,
        "Largest difference of the stamps within a frame, seconds.",
        minimum=1e-6,
        maximum=10.0,
        change="always",
    )
    publish_meshes: bool = parameter(True, "Include meshes in the messages.", change="always")
    publish_markers: bool = parameter(
        True, "Publish markers while there is a subscriber.", change="always"
    )
    publish_overlay: bool = parameter(
        True,
        "Publish the colour image with the results drawn over it while there is a subscriber.",
        change="always",
    )
    part_frames: bool = parameter(
        False,
        "Publish the frames of the objects' parts, such as sdfpose/mug_3/handle, on /tf.",
        change="always",
    )
    grasps: int = parameter(
        0,
        "Largest number of grasp candidates of each object on ~/grasps; 0 for no candidates.",
        minimum=0,
        maximum=100,
        change="unconfigured",
    )
    grasp_markers: bool = parameter(
        False, "Show the grasp candidates on ~/grasp_markers.", change="always"
    )
    gripper_width_m: float = parameter(
        0.085,
        "Largest distance between the fingers of the gripper, metres.",
        minimum=0.011,
        maximum=1.0,
        change="unconfigured",
    )
    gripper_friction: float = parameter(
        0.5,
        "Coefficient of friction between fingers and objects.",
        minimum=0.01,
        maximum=5.0,
        change="unconfigured",
    )
    finger_width_m: float = parameter(
        0.02, "Width of a finger, metres.", minimum=0.001, maximum=0.2, change="unconfigured"
    )
    finger_thickness_m: float = parameter(
        0.01,
        "Thickness of a finger along the closing direction, metres.",
        minimum=0.001,
        maximum=0.2,
        change="unconfigured",
    )
    finger_length_m: float = parameter(
        0.05,
        "Length of a finger from the contact to the palm, metres.",
        minimum=0.001,
        maximum=1.0,
        change="unconfigured",
    )
    listen_to_tf: bool = parameter(
        False,
        "Listen to /tf, so that ~/distance takes points in any frame. Requires tf2_ros.",
        change="unconfigured",
    )
    frame_prefix: str = parameter(
        "",
        "Prefix of the frame ids of objects; empty for sdfpose and the node's namespace.",
        change="unconfigured",
    )
    target_frame: str = parameter(
        "",
        "Parent frame of the objects in /tf; empty for world_frame, or else the camera frame.",
        change="unconfigured",
    )
    gravity_frame: str = parameter(
        "",
        "Frame in /tf whose z axis points up, such as base_link, odom or map; empty for none.",
        change="unconfigured",
    )
    cameras: tuple[str, ...] = parameter(
        (),
        "Names of several cameras that see the same objects in world_frame: the topics of each are "
        "~/NAME/colour, ~/NAME/depth and so on. Empty for one camera with ~/colour, ~/depth.",
        change="unconfigured",
    )
    world_frame: str = parameter(
        "",
        "Frame in /tf in which the objects are tracked, such as base_link or odom: they stand "
        "still in it while the camera moves. Empty to track them in the camera frame.",
        change="unconfigured",
    )
    camera_pose_sd_m: float = parameter(
        0.002,
        "Standard deviation of the camera's place in world_frame, along each axis, metres.",
        minimum=0.0,
        maximum=1.0,
        change="unconfigured",
    )
    camera_pose_sd_deg: float = parameter(
        0.2,
        "Standard deviation of the camera's rotation in world_frame, about each axis, degrees.",
        minimum=0.0,
        maximum=45.0,
        change="unconfigured",
    )
    use_imu: bool = parameter(
        False,
        "Take the direction of gravity from the accelerometer on ~/imu where gravity_frame does "
        "not give it.",
        change="unconfigured",
    )
    transform_timeout_s: float = parameter(
        0.1,
        "Timeout of the lookup of a transform in /tf, seconds.",
        minimum=0.0,
        maximum=10.0,
        change="unconfigured",
    )
    mesh_dir: str = parameter(
        "", "Folder that ~/save_mesh writes to; empty to disable the service."
    )

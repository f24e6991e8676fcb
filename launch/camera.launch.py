"""Camera driver, mask node and pose node: ``ros2 launch sdfpose camera.launch.py --show-args``."""

from launch.conditions import IfCondition
from launch.substitutions import EqualsSubstitution, LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription
from sdfpose_core.cameras.makers import MAKERS
from sdfpose_ros.graph.launch_actions import (
    PACKAGE,
    argument,
    declared,
    middleware,
    node,
    required_package,
    rviz,
    shared_file,
)
from sdfpose_ros.masks.backend_names import BACKENDS
from sdfpose_ros.pose.mask_names import MASKS

CAMERA_NAMESPACE = "camera"
POSE_NODE, MASK_NODE = "sdfpose", "sdfpose_mask"
PROFILE = "640x480x30"
MASK_INPUTS = ("label_image", "instance_image", "detections", "mask_tensor", "label_info")

ARGUMENTS = {
    "driver": (
        "realsense",
        "Camera driver to start: realsense (realsense2_camera), sdfpose (the Python package of the "
        "camera's maker, see model) or none.",
    ),
    "model": ("realsense", "Kind of camera, for driver sdfpose."),
    "serial_no": ("", "Serial number of the camera; empty for any."),
    "camera_name": ("camera", "Name of the driver node, and prefix of its tf frames."),
    "camera": (
        [f"/{CAMERA_NAMESPACE}/", LaunchConfiguration("camera_name")],
        "Namespace of the camera topics.",
    ),
    "colour_topic": (
        [LaunchConfiguration("camera"), "/color/image_raw"],
        "Rectified colour image.",
    ),
    "depth_topic": (
        [LaunchConfiguration("camera"), "/aligned_depth_to_color/image_raw"],
        "Depth image, registered to colour.",
    ),
    "camera_info_topic": (
        [LaunchConfiguration("camera"), "/color/camera_info"],
        "Camera intrinsics.",
    ),
    "imu_topic": ([LaunchConfiguration("camera"), "/imu"], "Accelerometer, for use_imu."),
    "frame": (
        [LaunchConfiguration("camera_name"), "_color_optical_frame"],
        "tf frame of the colour image; fixed frame of RViz.",
    ),
    "masks": (
        "topic",
        "Who makes the masks: the mask node (topic), or without a mask node the pose node, with "
        "tabletop, network or torchvision.",
    ),
    "backend": (
        "tabletop",
        "Source of the mask node: tabletop (objects on a table), network (any objects), "
        "torchvision (Mask R-CNN), label_image (image of class ids), instance_image (image of "
        "instance ids), detections (boxes of a detector), yolo (yolo_ros) or mask_tensor (Isaac "
        "ROS Segment Anything).",
    ),
    "label_image_topic": ("label_image", "Image of class ids, for backend label_image."),
    "instance_image_topic": ("instance_image", "Image of ids, for backend instance_image."),
    "detections_topic": (
        "detections",
        "vision_msgs/Detection2DArray, or yolo_msgs/DetectionArray for backend yolo.",
    ),
    "mask_tensor_topic": (
        "mask_tensor",
        "isaac_ros_tensor_list_interfaces/TensorList, for backend mask_tensor.",
    ),
    "label_info_topic": ("label_info", "vision_msgs/LabelInfo, for the parameter label_info."),
    "namespace": ("", "Namespace of the nodes; use one per camera."),
    "params_file": (
        shared_file("config", "sdfpose.yaml"),
        "Parameter file (YAML) of both nodes; parameters of only one are keyed by its name.",
    ),
    "device": ("auto", "Device of the networks: auto, cpu, cuda or cuda:N."),
    "use_sim_time": ("false", "Take the time from /clock (bags, simulators)."),
    "rviz": ("false", "Start RViz with images, frames and markers."),
    "one_machine": (
        "true",
        "Exchange images through shared memory on this machine only.",
    ),
}

CHOICES = {
    "driver": ("realsense", "sdfpose", "none"),
    "model": tuple(MAKERS),
    "masks": MASKS,
    "backend": BACKENDS,
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, middleware settings, driver, mask node, pose node, RViz."""
    images = {name: LaunchConfiguration(f"{name}_topic") for name in ("colour", "depth")}
    camera = {**images, "camera_info": LaunchConfiguration("camera_info_topic")}
    common = {"device": argument("device"), "use_sim_time": argument("use_sim_time", bool)}
    with_driver = IfCondition(EqualsSubstitution(LaunchConfiguration("driver"), "realsense"))
    driver = Node(
        package="realsense2_camera",
        executable="realsense2_camera_node",
        name=LaunchConfiguration("camera_name"),
        namespace=CAMERA_NAMESPACE,
        parameters=[
            {
                "camera_name": argument("camera_name"),
                "serial_no": argument("serial_no"),
                "align_depth.enable": True,
                # Give colour and depth of the same capture the same stamp.
                "enable_sync": True,
                "rgb_camera.color_profile": PROFILE,
                "depth_module.depth_profile": PROFILE,
            }
        ],
        condition=with_driver,
        output="screen",
    )
    own_driver = Node(
        package=PACKAGE,
        executable="camera_driver_node",
        name=LaunchConfiguration("camera_name"),
        namespace=CAMERA_NAMESPACE,
        parameters=[{"camera": argument("model"), "serial_number": argument("serial_no")}],
        condition=IfCondition(EqualsSubstitution(LaunchConfiguration("driver"), "sdfpose")),
        output="screen",
    )
    mask_node = node(
        "mask_node",
        name=MASK_NODE,
        parameters=[
            LaunchConfiguration("params_file"),
            {"backend": argument("backend"), **common},
        ],
        topics={
            **camera,
            **{name: LaunchConfiguration(f"{name}_topic") for name in MASK_INPUTS},
        },
        condition=IfCondition(EqualsSubstitution(LaunchConfiguration("masks"), "topic")),
    )
    pose_node = node(
        "pose_node",
        name=POSE_NODE,
        parameters=[LaunchConfiguration("params_file"), {"masks": argument("masks"), **common}],
        # Relative names resolve in the namespace that the nodes share. The topics of the masks are
        # the same, whoever makes them.
        topics={
            **camera,
            "mask": f"{MASK_NODE}/mask",
            "labels": f"{MASK_NODE}/labels",
            "imu": LaunchConfiguration("imu_topic"),
        },
    )
    shown = rviz(
        POSE_NODE,
        topics={f"/camera/{name}": topic for name, topic in images.items()},
        frame=LaunchConfiguration("frame"),
    )
    return LaunchDescription(
        [
            *declared(ARGUMENTS, CHOICES),
            required_package("realsense2_camera", "driver:=none", with_driver),
            required_package("rviz2", "rviz:=false", IfCondition(LaunchConfiguration("rviz"))),
            *middleware(),
            driver,
            own_driver,
            mask_node,
            pose_node,
            shown,
        ]
    )

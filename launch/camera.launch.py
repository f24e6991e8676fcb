"""Camera driver, mask node and pose node: ``ros2 launch sdfpose camera.launch.py --show-args``."""

from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EqualsSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription
from sdfpose_ros.graph.middleware import one_machine_environment

PACKAGE = "sdfpose"
CAMERA_NAMESPACE = "camera"
POSE_NODE, MASK_NODE = "sdfpose", "sdfpose_mask"
PROFILE = "640x480x30"

ARGUMENTS = {
    "driver": ("realsense", "Camera driver to start: realsense (realsense2_camera) or none."),
    "serial_no": ("", "Serial number of the RealSense; empty for any."),
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
    "frame": (
        [LaunchConfiguration("camera_name"), "_color_optical_frame"],
        "tf frame of the colour image; fixed frame of RViz.",
    ),
    "backend": (
        "tabletop",
        "Source of the masks: tabletop (objects on a table), torchvision (Mask R-CNN), "
        "label_image (image of class ids) or detections (boxes of a detector).",
    ),
    "label_image_topic": ("label_image", "Image of class ids, for backend label_image."),
    "detections_topic": ("detections", "vision_msgs/Detection2DArray, for backend detections."),
    "namespace": ("", "Namespace of the nodes; use one per camera."),
    "params_file": (
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "sdfpose.yaml"]),
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
    "driver": ("realsense", "none"),
    "backend": ("tabletop", "torchvision", "label_image", "detections"),
}

TO_POSE_NODE = (
    "namespace",
    "colour_topic",
    "depth_topic",
    "camera_info_topic",
    "params_file",
    "device",
    "use_sim_time",
    "one_machine",
)


def generate_launch_description() -> LaunchDescription:
    """Arguments, middleware settings, driver, mask node, pose node, RViz."""
    share = FindPackageShare(PACKAGE)
    namespace = LaunchConfiguration("namespace")
    inputs = ("colour", "depth", "camera_info", "label_image", "detections")
    middleware = [
        SetEnvironmentVariable(
            name, value, condition=IfCondition(LaunchConfiguration("one_machine"))
        )
        for name, value in one_machine_environment().items()
    ]
    pose_node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([share, "launch", "sdfpose.launch.py"])),
        launch_arguments={
            "name": POSE_NODE,
            # Relative names resolve in the namespace that the nodes share.
            "mask_topic": f"{MASK_NODE}/mask",
            "labels_topic": f"{MASK_NODE}/labels",
            **{name: LaunchConfiguration(name) for name in TO_POSE_NODE},
        }.items(),
    )
    driver = Node(
        package="realsense2_camera",
        executable="realsense2_camera_node",
        name=LaunchConfiguration("camera_name"),
        namespace=CAMERA_NAMESPACE,
        parameters=[
            {
                "camera_name": ParameterValue(LaunchConfiguration("camera_name"), value_type=str),
                "serial_no": ParameterValue(LaunchConfiguration("serial_no"), value_type=str),
                "align_depth.enable": True,
                # Give colour and depth of the same capture the same stamp.
                "enable_sync": True,
                "rgb_camera.color_profile": PROFILE,
                "depth_module.depth_profile": PROFILE,
            }
        ],
        condition=IfCondition(EqualsSubstitution(LaunchConfiguration("driver"), "realsense")),
        output="screen",
    )
    mask_node = Node(
        package=PACKAGE,
        executable="mask_node",
        name=MASK_NODE,
        namespace=namespace,
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "backend": ParameterValue(LaunchConfiguration("backend"), value_type=str),
                "device": ParameterValue(LaunchConfiguration("device"), value_type=str),
                "use_sim_time": ParameterValue(
                    LaunchConfiguration("use_sim_time"), value_type=bool
                ),
            },
        ],
        remappings=[(f"~/{name}", LaunchConfiguration(f"{name}_topic")) for name in inputs],
        output="screen",
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=namespace,
        arguments=[
            *("-d", PathJoinSubstitution([share, "rviz", "sdfpose.rviz"])),
            *("-f", LaunchConfiguration("frame")),
        ],
        remappings=[
            ("/camera/colour", LaunchConfiguration("colour_topic")),
            ("/camera/depth", LaunchConfiguration("depth_topic")),
            *((f"/{POSE_NODE}/{name}", f"{POSE_NODE}/{name}") for name in ("markers", "overlay")),
        ],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    arguments = [
        DeclareLaunchArgument(
            name, default_value=default, description=description, choices=CHOICES.get(name)
        )
        for name, (default, description) in ARGUMENTS.items()
    ]
    # Start the driver first: if it is not installed, no other node is left running.
    return LaunchDescription([*arguments, *middleware, driver, mask_node, pose_node, rviz])

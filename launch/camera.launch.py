"""A camera is all it takes: ``ros2 launch sdfpose camera.launch.py --show-args``."""

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
    "driver": ("realsense", "Which driver is started: realsense (realsense2_camera), or none."),
    "serial_no": ("", "Serial number of the RealSense, where there are several; empty for any."),
    "camera_name": ("camera", "Name of the driver's node, and first part of its frames' names."),
    "camera": (
        [f"/{CAMERA_NAMESPACE}/", LaunchConfiguration("camera_name")],
        "Name below which the topics of the camera lie.",
    ),
    "colour_topic": (
        [LaunchConfiguration("camera"), "/color/image_raw"],
        "Colour image, rectified.",
    ),
    "depth_topic": (
        [LaunchConfiguration("camera"), "/aligned_depth_to_color/image_raw"],
        "Depth, registered to colour.",
    ),
    "camera_info_topic": ([LaunchConfiguration("camera"), "/color/camera_info"], "Intrinsics."),
    "frame": (
        [LaunchConfiguration("camera_name"), "_color_optical_frame"],
        "Frame of the colour image, in which RViz shows the objects.",
    ),
    "backend": (
        "tabletop",
        "Where masks come from: tabletop (what stands on a table), torchvision (Mask R-CNN), "
        "label_image (an image of class ids) or detections (boxes of a detector).",
    ),
    "label_image_topic": ("label_image", "Image of class ids, for the backend label_image."),
    "detections_topic": ("detections", "vision_msgs/Detection2DArray, for the backend detections."),
    "namespace": ("", "Namespace of the nodes; one for each camera."),
    "params_file": (
        PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "sdfpose.yaml"]),
        "Parameters of both nodes (YAML); those of one alone lie below its name.",
    ),
    "device": ("auto", "Where networks run: auto, cpu, cuda or cuda:N."),
    "use_sim_time": ("false", "Whether time comes from /clock (bags, simulators)."),
    "rviz": ("false", "Whether RViz shows images, frames and markers."),
    "one_machine": (
        "true",
        "Whether images go through large shared memory, and other machines do not take part.",
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
            # Relative names lie in the namespace that the nodes share.
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
                # Colour and depth of one moment get one stamp.
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
    # The driver comes first: where it is not installed, no node is left behind.
    return LaunchDescription([*arguments, *middleware, driver, mask_node, pose_node, rviz])

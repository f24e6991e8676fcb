"""Test files that take more than a second or two, which ``make test-quick`` leaves out."""

SLOW_FILES = frozenset(
    f"{folder}/test_{name}.py"
    for folder, names in {
        "examples": ("examples",),
        "packaging": ("colcon",),
        "sdfpose_core/benchmark": (
            "grasps",
            "masks",
            "rejection",
            "sequences",
            "speed",
            "speed_frames",
            "throughput",
            "world",
        ),
        "sdfpose_core/cli": (
            "adapt",
            "bench",
            "bench_pose",
            "bench_rejection",
            "bench_sequence",
            "bench_world",
            "frame_masks",
            "grasps",
            "learn_scans",
            "replay",
        ),
        "sdfpose_core/diagnosis": ("camera", "image_faults"),
        "sdfpose_core/encoder": ("pretraining",),
        "sdfpose_core/estimation": ("bad_input", "estimator", "multi_view"),
        "sdfpose_core/evaluation": ("reconstruction", "surfaces"),
        "sdfpose_core/mask_training": ("training",),
        "sdfpose_core/masks": ("network_masks",),
        "sdfpose_core/recognition": ("training", "views"),
        "sdfpose_core/refine": ("residuals", "solver"),
        "sdfpose_core/replay": ("run",),
        "sdfpose_core/scanning": ("scan", "turntable"),
        "sdfpose_core/sdf": ("meshing", "thin_walls"),
        "sdfpose_core/selfsup": ("losses", "ssc6d_training", "training"),
        "sdfpose_core/shapes": ("imports", "shapes_command"),
        "sdfpose_core/simulation": ("instances", "motion"),
        "sdfpose_core/tracking": ("verification",),
        "sdfpose_core/viewer": ("browser", "recordings"),
        "sdfpose_core/visualisation": ("report",),
        "sdfpose_ros/cli": ("bench_speed",),
        "sdfpose_ros/diagnosis": ("observer",),
        "sdfpose_ros/evaluation": ("evaluator_node", "node_benchmark", "separate_processes"),
        "sdfpose_ros/live": ("live_command",),
        "sdfpose_ros/playback": ("lockstep",),
        "sdfpose_ros/pose": ("faults", "inputs", "pose_node", "pose_node_lifecycle"),
        "sdfpose_ros/recording": ("recorder_node",),
        "training": (
            "nocs_pipeline",
            "reproduce_ssc6d",
            "train_decoder",
            "train_masks",
            "train_recognition",
        ),
    }.items()
    for name in names
)
"""Paths relative to the folder ``test``."""

"""The planning scene node: objects of a pose node in, collision objects of MoveIt out.

Callbacks only keep messages. A worker thread waits for transforms and simplifies meshes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sdfpose.msg import SdfObjectArray
from std_msgs.msg import Header

from sdfpose_core.errors import MeshError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import child_frame_id, estimate_from_message
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.packs.collection import Packs
from sdfpose_core.tracking.track import TrackState
from sdfpose_ros.graph.message_factory import ros_message
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.graph.worker import NewestWorker
from sdfpose_ros.planning_scene.moveit_messages import MoveItMessages
from sdfpose_ros.planning_scene.object_meshes import ObjectMeshes
from sdfpose_ros.planning_scene.parameters import PlanningSceneNodeParameters
from sdfpose_ros.planning_scene.scene_topics import SceneTopics, required_messages
from sdfpose_ros.planning_scene.scene_updates import Change, Operation, SceneObject, SceneUpdates
from sdfpose_ros.planning_scene.shapes import ShapeMaker
from sdfpose_ros.pose.transforms import TransformBuffer

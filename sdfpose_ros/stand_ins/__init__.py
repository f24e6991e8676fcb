"""ROS packages that the ROS 2 wheels lack. Import them from here only.

`message_filters` and `tf2_ros` are the real packages if they are installed, else stand-ins with the
same interface. `moveit_msgs` and `vision_msgs` (the modules ``moveit_msgs.msg`` and
``vision_msgs.msg``) are None if they are not installed.
"""

from __future__ import annotations

try:
    import message_filters
except ImportError:
    from sdfpose_ros.stand_ins import message_filters

try:
    import moveit_msgs.msg as moveit_msgs
except ImportError:
    moveit_msgs = None

try:
    import tf2_ros
except ImportError:
    from sdfpose_ros.stand_ins import tf2_ros

try:
    import vision_msgs.msg as vision_msgs
except ImportError:
    vision_msgs = None

__all__ = ["message_filters", "moveit_msgs", "tf2_ros", "vision_msgs"]

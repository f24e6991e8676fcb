"""ROS packages that the ROS 2 wheels lack. Import them from here only.

`message_filters` and `tf2_ros` are the real packages if they are installed, else stand-ins with the
same interface. `vision_msgs` (the module ``vision_msgs.msg``) is None if it is not installed.
"""

from __future__ import annotations

try:
    import message_filters
except ImportError:
    from sdfpose_ros.stand_ins import message_filters

try:
    import tf2_ros
except ImportError:
    from sdfpose_ros.stand_ins import tf2_ros

try:
    import vision_msgs.msg as vision_msgs
except ImportError:
    vision_msgs = None

__all__ = ["message_filters", "tf2_ros", "vision_msgs"]

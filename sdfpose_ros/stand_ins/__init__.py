"""ROS packages that the ROS 2 wheels lack. Import them from here only.

`message_filters` is the real package if it is installed, else a stand-in with the same interface.
`tf2_ros` and `vision_msgs` (the module ``vision_msgs.msg``) are None if they are not installed.
"""

from __future__ import annotations

try:
    import message_filters
except ImportError:
    from sdfpose_ros.stand_ins import message_filters

try:
    import tf2_ros
except ImportError:
    tf2_ros = None

try:
    import vision_msgs.msg as vision_msgs
except ImportError:
    vision_msgs = None

__all__ = ["message_filters", "tf2_ros", "vision_msgs"]

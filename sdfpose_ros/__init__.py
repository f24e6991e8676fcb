"""ROS 2 nodes of sdfpose. They connect topics to `sdfpose_core`."""

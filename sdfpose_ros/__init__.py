"""ROS 2 nodes of sdfpose: the glue between topics and `sdfpose_core`."""

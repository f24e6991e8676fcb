"""Checks of `sdfpose doctor` that need ROS 2: the installation, its shared memory, live cameras."""

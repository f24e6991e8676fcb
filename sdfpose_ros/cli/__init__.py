"""Commands of `sdfpose` that need ROS 2; one module per command."""

"""Commands of the `sdfpose` program that need ROS 2; one file each."""

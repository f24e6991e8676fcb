"""Pose, size and shape of the instances of a frame."""

"""Conversion of ROS messages, accessed by field name so that classes of any package work."""

"""Nodes that publish images: the camera node and the bag player."""

"""Nodes that publish images: the simulated camera and the bag player."""

"""Cameras, similarity transforms, point-set alignment, nearest neighbours and mesh files."""

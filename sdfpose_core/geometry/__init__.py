"""Cameras, similarity transforms, alignment, nearest neighbours, mesh files, collision geometry."""

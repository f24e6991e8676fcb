"""Measurements of an RGB-D frame: instances, support planes and free space."""

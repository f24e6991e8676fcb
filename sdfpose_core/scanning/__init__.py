"""Meshes from recordings: one object, seen from all sides by an RGB-D camera."""

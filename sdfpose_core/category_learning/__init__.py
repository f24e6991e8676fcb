"""Learning a category from a folder of meshes: import, alignment, networks, validation, pack."""

"""Reference pages of the documentation, generated from parameter tables."""

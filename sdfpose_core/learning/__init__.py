"""Optimisation and multi-process training, shared by all networks."""

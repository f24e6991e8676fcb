"""Optimiser and multi-process training, shared by all networks."""

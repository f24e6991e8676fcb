"""Shared by all nodes: processes, workers, parameters, topics and message conversion."""

"""From a camera to poses and the viewer: a graph of processes that start and end together."""

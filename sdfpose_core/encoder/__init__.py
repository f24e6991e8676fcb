"""First poses: the network and its training, and the search without one."""

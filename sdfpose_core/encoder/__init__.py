"""Initial poses: the encoder networks, their training, and start poses without a network."""

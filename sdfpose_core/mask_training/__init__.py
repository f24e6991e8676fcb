"""Training of the mask network on simulated images."""

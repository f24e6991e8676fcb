"""Learning from real depth without labels of poses."""

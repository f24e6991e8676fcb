"""Self-supervised learning from real depth without pose labels."""

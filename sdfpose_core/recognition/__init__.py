"""Recognition: whether the shape in a depth image is an object of any category, and of which."""

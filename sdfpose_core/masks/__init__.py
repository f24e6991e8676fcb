"""Instance masks of an RGB-D camera's images: from depth, a network, class images or boxes."""

"""Instance masks for RGB-D images: from depth, a network, label images or detected boxes."""

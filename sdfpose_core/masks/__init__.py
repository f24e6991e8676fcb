"""Instance masks for RGB-D images: from depth, networks, label images or detections."""

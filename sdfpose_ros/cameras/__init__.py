"""Node that publishes the images of a camera on a port of this machine."""

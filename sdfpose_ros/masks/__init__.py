"""The mask node: RGB-D images in, instance masks and labels out."""

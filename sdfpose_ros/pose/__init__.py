"""The pose node: RGB-D images and masks in, poses and meshes out."""

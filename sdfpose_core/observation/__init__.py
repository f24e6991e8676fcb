"""What an RGB-D frame measures: frames, instances, support planes and free space."""

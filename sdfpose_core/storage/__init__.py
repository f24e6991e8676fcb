"""Files: atomic writes, checkpoints, restricted pickles and YAML configuration."""

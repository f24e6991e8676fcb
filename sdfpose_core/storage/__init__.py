"""Files: atomic writes, checkpoints, restricted pickles, text and YAML configuration."""

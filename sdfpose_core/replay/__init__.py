"""Recorded bags through estimator and tracker, as a running graph would do it, and judged."""

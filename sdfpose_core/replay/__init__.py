"""Replay of recorded bags through estimator and tracker, with evaluation."""

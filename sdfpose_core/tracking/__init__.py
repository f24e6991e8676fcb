"""Tracking: association, motion, belief and verification of objects across frames."""

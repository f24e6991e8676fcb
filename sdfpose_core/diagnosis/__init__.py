"""Diagnosis of a camera's data and of the environment: what is wrong, and what to do about it."""

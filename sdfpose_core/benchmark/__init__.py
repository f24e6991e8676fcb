"""Benchmarks of ``sdfpose bench``: shapes, poses, tracking, adaptation and speed."""

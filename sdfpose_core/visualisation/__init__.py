"""Overlays, plots and HTML reports."""

"""Packs: folders that hold one category each, with its entry, weights and card."""

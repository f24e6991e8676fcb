"""The reference pages of the documentation, generated from parsers and parameter tables."""

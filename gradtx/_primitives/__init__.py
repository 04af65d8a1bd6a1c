"""Primitives: transforms that do not contain other transforms."""

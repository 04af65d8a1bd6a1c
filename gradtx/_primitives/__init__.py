"""Primitives: transforms that are not made of other transforms."""

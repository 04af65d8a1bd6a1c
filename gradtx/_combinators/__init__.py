"""Combinators: transforms that contain other transforms."""

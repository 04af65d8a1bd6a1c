"""Combinators: transforms made of transforms."""

"""Transforms that look at the shape of an array: rows, columns, factors."""

"""Transforms that depend on the shape of an array: its rows, columns and factors."""

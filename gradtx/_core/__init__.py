"""Layer 1: the protocol, and what transforms are made with.

Imports `_base`, `_values` and `_cpu`.
"""

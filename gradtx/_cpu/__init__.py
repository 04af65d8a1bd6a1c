"""Layer 1: how the same work is executed by XLA's CPU backend. Imports `_base` only."""

"""Combinators: transforms that contain other transforms.

Each says its role where it is decorated, and calls the inner transforms through the step context. They do not see the
primitives and executions.
"""

"""Primitives: transforms that do not contain other transforms, one kind per file.

They are made with the constructors of `gradtx._core`, and do not see the combinators and executions.
"""

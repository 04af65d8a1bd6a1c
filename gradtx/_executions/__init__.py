"""Executions: the same work run in another way, with equal or nearly equal results.

`bucketed` runs it on stacks of small arrays, `store` on encoded slots, `compiled` as one program. No optimizer knows of
them.
"""

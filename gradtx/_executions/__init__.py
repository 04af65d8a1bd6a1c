"""Executions: the same kernels run on other arrays, with equal or nearly equal results."""

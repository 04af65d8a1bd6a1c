"""Executions: the same kernels run on other arrays, to the same numbers or nearly."""

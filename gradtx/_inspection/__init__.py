"""Inspection of transforms and states.

    walking      from a transform to what it stands for
    state_dict   states as flat dicts of arrays by readable names
    sweep        hyperparameter and seed sweeps as one compiled program; the results are in sweep_result
    diagram      diagrams of the flow of updates

It may import all lower layers, but not `plot`, `testing` or `interop`.
"""

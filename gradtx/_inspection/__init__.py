"""Layer 6: looking into transforms and states.

    state_dict   states as flat dicts of arrays by readable names
    sweep        many hyperparameters and seeds as one program; sweep_result holds what comes back
    diagram      the flow of updates, drawn

Imports everything below, and never `plot`, `testing` or `interop`.
"""

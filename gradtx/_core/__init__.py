"""The protocol, and what transforms are made with. Imports `_base`, `_values`, `_cpu` and `_linalg`.

    protocol      GradientTransformation, a pair of functions and a value; the decorator of factories
    context       what one call of `update` hands to every transform inside it
    pairs         bare pairs of functions, and the extra arguments that they take
    facts         what transforms say of their input and output, and what follows for those made of them
    scheduled     transforms whose hyperparameters follow schedules
    boundary      what the outermost call checks, and owes to its caller
    state_errors  what somebody gave in place of a state, in words
    leafwise      work on one array, and its default execution over the leaves of a tree
    compose       several transforms as one: in series, side by side, with names, with scalars of their own
    norms         norms and inner products, safe from overflow
    matrixwise    work on one matrix
    meshes        what works along the axes of arrays, on meshes with explicit axes
    placing       where the states of matrices lie on meshes with automatic axes
    slots         one array of state per parameter
    constructors  elementwise, memory, clocked, clocked_memory, treewise, combinator
    identity      identity and set_to_zero
    loss          the loss function of a train step, checked
    updates       updates added to parameters
    averages      averaged parameters found in a state
    parts         the transforms inside a transform, and their shares of its state
    hyperparams   hyperparameters by name

`b1` of `adam` goes down: `_optimizers/adam.py` to `chain` and `ratio`, to `scale_by_ema`, to `memory` and `leafwise`.
"""

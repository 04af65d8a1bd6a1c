"""Layer 0: what everything else may import, and what imports nothing of gradtx but itself.

errors     messages that say who, where, what was expected, what was got and what to do
typing     names for params, updates and states; the marker that makes an argument a hyperparameter
numerics   the dtype rules, and the few operations that need care near 0 and near infinity
trees      paths of leaves, and trees that must fit each other
sharing    one trace for all arrays of one shape
sums       sums of squares
optax_class  the class that a transform derives from for a type checker
checks     checks of arguments that several transforms make
"""

"""The lowest layer: every other may import it, and it imports nothing else of gradtx.

errors       errors with the path of stages, what was expected, what was got and what to do
states       the classes of states
typing       names for params, updates and states; the marker that makes an argument a hyperparameter
numerics     the dtype rules, and operations that are safe near 0 and infinity
trees        paths of leaves, and checks that trees fit each other
branch       only one of several computations runs
varying      arrays that vary over the axes of a mesh, inside shard_map
sharing      one trace for all arrays of one shape
sums         sums of squares
optax_class  the base class of transforms for a type checker
counterparts what other libraries call what is here
optax_names  the names of Optax that have another name here
calls        errors of calls that do not fit, with how the function is called
polynomials  minimax polynomials for polar factors
terminal     progress on a terminal
checks       checks of arguments that several transforms share
"""

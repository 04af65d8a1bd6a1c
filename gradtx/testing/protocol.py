"""Laws of the protocol: the inputs and outputs of `init` and `update`, and the form of the state."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree
from gradtx._base import trees
from gradtx._base.errors import GradtxError
from gradtx._base.numerics import is_key, is_real
from gradtx._core.updates import apply_updates
from gradtx.testing.case import Case
from gradtx.testing.trials import (
    BrokenLawError,
    ByIdentity,
    close,
    compiled_step,
    finite,
    identical,
    numbers_of,
    params_of,
    require,
    run,
    same_form,
    updates_of,
    without_keys,
)

ELEMENTS = 2**20


def updates_keep_their_form(case: Case) -> None:
    """Updates have the structure and shapes of the gradients, and the dtypes of the parameters: `p + u` keeps them."""
    single, brain = jnp.float32, jnp.bfloat16
    for params_dtype, updates_dtype in ((single, single), (brain, brain), (brain, single), (single, brain)):
        params, updates = params_of(case, params_dtype), updates_of(case, 1, updates_dtype)
        out = run(case, params, updates)[0][0]
        same_form(out, params, f"{updates_dtype.__name__} updates of {params_dtype.__name__} parameters")


def state_is_a_fixed_point(case: Case) -> None:
    """An update changes no structure, shape, dtype or weak type of the state, so that it fits into `scan`."""
    halves = [(jnp.float32, jnp.float32), (jnp.bfloat16, jnp.float32), (jnp.float32, jnp.bfloat16)]
    for params_dtype, updates_dtype in [*halves, (jnp.float16, jnp.float16)]:
        params = params_of(case, params_dtype)
        first = case.transform.init(params)
        for leaf in jax.tree.leaves(first):
            require(isinstance(leaf, jax.Array), f"expected arrays in the state, got {leaf!r}")
            is_weak = getattr(leaf, "weak_type", False)  # random keys have none
            require(not is_weak, f"expected strongly typed arrays in the state, got a weakly typed {leaf.dtype}")
        what = f"the state for {params_dtype.__name__} parameters and {updates_dtype.__name__} updates"
        same_form(run(case, params, updates_of(case, 2, updates_dtype))[1], first, what)


def stores_what_it_says(case: Case) -> None:
    """The state is as large as declared, counted in arrays of the parameters' size; scalars do not count."""
    assert case.stored is not None
    side = round(ELEMENTS ** (1 / len(case.shape or (1,))))
    params = jax.ShapeDtypeStruct((side,) * len(case.shape or (1,)), jnp.float32)
    arrays = tree.nbytes(jax.eval_shape(case.transform.init, params)) / tree.nbytes(params)
    require(
        abs(arrays - case.stored) < 0.01,
        f"expected {case.stored:g} arrays per parameter in the state, got {arrays:.4g}",
    )


def init_is_abstract(case: Case) -> None:
    """`jax.eval_shape(init, params)` has the form of `init(params)`: structure, shapes and dtypes."""
    params = params_of(case)
    same_form(case.transform.init(params), jax.eval_shape(case.transform.init, params), "the abstract state")


def inputs_stay(case: Case) -> None:
    """`init` and `update` do not modify their arguments."""
    params, updates = params_of(case), updates_of(case, 1)[0]
    state = case.transform.init(params)
    copies = jax.tree.map(np.array, without_keys((params, updates, state)))
    case.transform.update(updates, state, params, **case.extras(params))
    close(without_keys((params, updates, state)), copies, "the arguments of update", rtol=0, atol=0)


def no_buffers_are_shared(case: Case) -> None:
    """A state shares no memory with what the caller holds, so that a step may donate it to its results.

    So it is after `init`, and after steps that were compiled or not: the parameters as they were, gradients, updates,
    extra arguments and the hyperparameters of the transform share no buffer with a state, nor do two arrays of it.
    """
    tx, step = numbers_of(case.transform), ByIdentity(case)
    params, updates = params_of(case), updates_of(case, 1)[0]
    extras = case.extras(params)
    state = tx.init(params)
    _apart("after init", params, updates, extras, tx, state=state)
    out, new = tx.update(updates, state, params, **extras)
    _apart("after an update", params, updates, extras, tx, out, state=new)
    out, new = compiled_step(step)(updates, state, params)
    _apart("after a compiled update", params, updates, tx, out, state=new)


def _apart(when: str, *others: Any, state: Any) -> None:
    held = {_buffer(leaf): "what the caller holds" for leaf in jax.tree.leaves(others)}
    for path, leaf in zip(trees.paths(state), jax.tree.leaves(state), strict=True):
        buffer = _buffer(leaf)
        require(buffer not in held, f"{when} the state at {path} shares its buffer with {held.get(buffer)}")
        held[buffer] = path


def _buffer(leaf: Any) -> Any:
    has_one = isinstance(leaf, jax.Array) and leaf.size and not is_key(leaf)
    return leaf.unsafe_buffer_pointer() if has_one else object()


def extras_pass(case: Case) -> None:
    """Unknown extra arguments are ignored, missing ones are named in the error, Python numbers are accepted."""
    params, updates = params_of(case, alike=True), updates_of(case, 1, alike=True)[0]
    state, extras = case.transform.init(params), case.extras(params)

    def update(**extras: Any) -> Any:
        return case.transform.update(updates, state, params, **extras)

    plain = update(**extras)
    identical(update(unheard_of=1, **extras), plain, "with an unknown extra")
    for name in extras:
        try:
            update(**{key: value for key, value in extras.items() if key != name})
        except (GradtxError, TypeError, KeyError) as error:
            require(name in str(error), f"expected an error that names the missing extra {name!r}, got: {error}")
    numbers = {name: float(x) for name, x in extras.items() if isinstance(x, jax.Array) and not x.ndim and is_real(x)}
    close(update(**{**extras, **numbers}), plain, "with Python numbers as extras")


def names_do_not_matter(case: Case) -> None:
    """The updates do not depend on the names of the parameters, or on their order."""

    def renamed(one):
        return {"a": one["out"], "z": {"y": one["layer"]["w"], "x": one["layer"]["b"]}}

    params, updates = params_of(case), updates_of(case)
    wanted = [renamed(one) for one in run(case, params, updates)[0]]
    close(run(case, renamed(params), [renamed(one) for one in updates])[0], wanted, "updates under other names")


def odd_trees(case: Case) -> None:
    """Trees without leaves, None in trees, 0-d arrays and arrays of size 0 are accepted."""
    # Of the shapes of `params_of`, where another would only be more operations to compile.
    trees = [{}, {"none": None, "x": jnp.ones((3, 2))}, {"empty": jnp.zeros((0, 3))}, jnp.ones((3, 2))]
    if not case.matrices:
        trees += [{"none": None, "x": jnp.ones(2)}, {"scalar": jnp.ones(()), "empty": jnp.zeros((0, 3))}, jnp.ones(2)]
    for one in trees:
        try:
            _takes(case, one)
        except BrokenLawError:
            raise
        except Exception as error:
            raise BrokenLawError(f"parameters and updates {one}: {type(error).__name__}: {error}") from error


def _takes(case: Case, one: Any) -> None:
    out, state = run(case, one, [one, one])
    same_form(out[0], one, f"updates of {one}", dtypes=False)
    same_form(state, case.transform.init(one), f"the state for {one}")
    finite(f"updates of {one}", *out)
    same_form(apply_updates(one, out[0]), one, f"{one} with its updates")


LAWS = [
    updates_keep_their_form,
    state_is_a_fixed_point,
    stores_what_it_says,
    init_is_abstract,
    inputs_stay,
    no_buffers_are_shared,
    extras_pass,
    names_do_not_matter,
    odd_trees,
]

"""Laws of the protocol: the inputs and outputs of `init` and `update`, and the form of the state."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree
from gradtx._base import trees
from gradtx._base.errors import GradtxError
from gradtx._base.numerics import is_real, precision
from gradtx._core.updates import apply_updates
from gradtx.testing.case import Case
from gradtx.testing.trials import close, finite, identical, params_of, require, run, same_form, updates_of

ELEMENTS = 2**20


def updates_keep_their_form(case: Case) -> None:
    """Updates keep their structure, shapes and kinds of dtype, with at least the same precision."""
    for dtype in (jnp.float32, jnp.bfloat16):
        params, updates = params_of(dtype), updates_of(case, 1, dtype)
        out = run(case, params, updates)[0][0]
        same_form(out, updates[0], "updates", dtypes=False)
        for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(updates[0]), strict=True):
            require(
                precision(a.dtype) >= precision(b.dtype),
                f"expected updates of at least the precision of {b.dtype}, got {a.dtype}",
            )
            require(not a.weak_type, f"expected strongly typed updates of {b.dtype}, got weakly typed ones")


def state_is_a_fixed_point(case: Case) -> None:
    """Structure, shapes, dtypes and weak types of the state are the same before and after an update."""
    halves = [(jnp.float32, jnp.float32), (jnp.bfloat16, jnp.float32), (jnp.float32, jnp.bfloat16)]
    for params_dtype, updates_dtype in [*halves, (jnp.float16, jnp.float16)]:
        params = params_of(params_dtype)
        first = case.transform.init(params)
        for leaf in jax.tree.leaves(first):
            require(isinstance(leaf, jax.Array), f"expected arrays in the state, got {leaf!r}")
            require(not leaf.weak_type, f"expected strongly typed arrays in the state, got a weakly typed {leaf.dtype}")
        what = f"the state for {params_dtype.__name__} parameters and {updates_dtype.__name__} updates"
        same_form(run(case, params, updates_of(case, 2, updates_dtype))[1], first, what)


def stores_what_it_says(case: Case) -> None:
    """The state has the declared size in arrays of the parameters' size, apart from scalars."""
    assert case.stored is not None
    side = round(ELEMENTS ** (1 / len(case.shape or (1,))))
    params = jax.ShapeDtypeStruct((side,) * len(case.shape or (1,)), jnp.float32)
    arrays = tree.nbytes(jax.eval_shape(case.transform.init, params)) / tree.nbytes(params)
    require(
        abs(arrays - case.stored) < 0.01,
        f"expected {case.stored:g} arrays per parameter in the state, got {arrays:.4g}",
    )


def init_is_abstract(case: Case) -> None:
    """`init` returns a state of the same form for abstract parameters."""
    params = params_of()
    same_form(case.transform.init(params), jax.eval_shape(case.transform.init, params), "the abstract state")


def inputs_stay(case: Case) -> None:
    """`init` and `update` do not modify their arguments."""
    params, updates = params_of(), updates_of(case, 1)[0]
    state = case.transform.init(params)
    copies = jax.tree.map(np.array, (params, updates, state))
    case.transform.update(updates, state, params, **case.extras(params))
    close((params, updates, state), copies, "the arguments of update", rtol=0, atol=0)


def no_buffers_are_shared(case: Case) -> None:
    """After `init`, no two arrays of the parameters and the state share a buffer, so that both can be donated."""
    params = params_of()
    state = case.transform.init(params)
    named = jax.tree_util.tree_leaves_with_path({"params": params, "state": state})
    seen: dict[int, str] = {}
    for path, leaf in named:
        if leaf.size:
            pointer, where = leaf.unsafe_buffer_pointer(), trees.path_text(path)
            require(pointer not in seen, f"{where} shares its buffer with {seen.get(pointer)}")
            seen[pointer] = where


def extras_pass(case: Case) -> None:
    """Unknown extra arguments are ignored, missing ones are named in the error, Python numbers are accepted."""
    params, updates = params_of(), updates_of(case, 1)[0]
    state, extras = case.transform.init(params), case.extras(params)

    def update(**extras: Any) -> Any:
        return case.transform.update(updates, state, params, **extras)

    plain = update(**extras)
    identical(update(unheard_of=1, **extras), plain, "with an unknown extra")
    for name in extras:
        try:
            update(**{key: value for key, value in extras.items() if key != name})
        except (GradtxError, TypeError) as error:
            require(name in str(error), f"expected an error that names the missing extra {name!r}, got: {error}")
    numbers = {name: float(x) for name, x in extras.items() if isinstance(x, jax.Array) and not x.ndim and is_real(x)}
    close(update(**{**extras, **numbers}), plain, "with Python numbers as extras")


def names_do_not_matter(case: Case) -> None:
    """The updates do not depend on the names and the order of the leaves."""

    def renamed(one):
        return {"a": one["out"], "z": {"y": one["layer"]["w"], "x": one["layer"]["b"]}}

    params, updates = params_of(), updates_of(case)
    wanted = [renamed(one) for one in run(case, params, updates)[0]]
    close(run(case, renamed(params), [renamed(one) for one in updates])[0], wanted, "updates under other names")


def odd_trees(case: Case) -> None:
    """Empty trees, None, 0-d arrays and arrays of size 0 are accepted."""
    trees = [{}, {"none": None, "x": jnp.ones(2)}, {"scalar": jnp.ones(()), "empty": jnp.zeros((0, 3))}, jnp.ones(3)]
    for one in trees:
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

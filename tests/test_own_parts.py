"""Parts of the user's: functions of whole trees, and wrappers, by the public constructors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx.testing import Case, check
from gradtx.testing.trials import same_form

BRAIN = {"w": jnp.ones((3, 2), jnp.bfloat16), "b": jnp.ones(2, jnp.bfloat16)}


@gx.transformation(role="wrapper")
def where_large(inner):
    """The output of `inner` where the magnitude is above the median of its array, else zero."""

    def update(step, updates, state, params):
        out, new = step.update(inner, updates, state["inner"], params)
        keep = jax.tree.map(lambda g: jnp.abs(g) > jnp.median(jnp.abs(g)) if g.size else g > 0, updates)
        return jax.tree.map(lambda k, u, g: jnp.where(k, u, 0 * g), keep, out, updates), {"inner": new}

    return gx.combinator(lambda step, params: {"inner": step.init(inner, params)}, update)


@gx.transformation(role="wrapper")
def two_times(inner):
    """`inner` of the output of `inner`, in a loop."""

    def update(step, updates, state, params):
        def once(carry, _):
            return step.update(inner, *carry, params), None

        (updates, new), _ = jax.lax.scan(once, (updates, state["inner"]), length=2)
        return updates, {"inner": new}

    return gx.combinator(lambda step, params: {"inner": step.init(inner, params)}, update)


@gx.transformation
def average_of_the_tree():
    return gx.treewise(
        lambda g, m, p: (out := jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g), out),
        lambda params: jax.tree.map(jnp.zeros_like, params),
    )


@pytest.mark.parametrize("factory", [where_large, two_times])
@pytest.mark.parametrize("inner", [gx.scale_by_ema(0.9), gx.adam(0.1)], ids=["ema", "adam"])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_a_wrapper_gets_the_same_precision_outside_and_inside_of_a_chain(factory, inner, dtype):
    params = gx.tree.cast(BRAIN, dtype)
    grads = jax.tree.map(lambda p: jnp.arange(-2, p.size - 2).reshape(p.shape).astype(dtype), params)
    tx = factory(inner)
    out, state = tx.update(grads, tx.init(params), params)
    inside, _ = gx.chain(tx, gx.identity()).update(grads, (tx.init(params), ()), params)
    for u, v, p in zip(*map(jax.tree.leaves, (out, inside, params)), strict=True):
        assert u.dtype == p.dtype
        np.testing.assert_array_equal(np.asarray(u, np.float32), np.asarray(v, np.float32))
    assert all(m.dtype == jnp.float32 for m in jax.tree.leaves(state) if jnp.issubdtype(m.dtype, jnp.floating))


@pytest.mark.parametrize("outermost", [True, False])
def test_a_wrapper_sees_at_least_32_bits_and_all_else_as_it_is(outermost):
    seen = []
    grads = {
        "x": jnp.ones(2, jnp.float16),
        "n": jnp.arange(3),
        "empty": np.zeros(2, jax.dtypes.float0),
        "none": None,
    }
    own = gx.combinator(lambda step, params: (), lambda step, u, s, p: (seen.append((u, p)), (u, s))[1])
    tx = own if outermost else gx.chain(gx.identity(), own)
    params = {"x": jnp.ones(2, jnp.bfloat16), "n": jnp.arange(3), "empty": jnp.arange(2), "none": None}
    if not outermost:
        tx, grads, params = gx.masked(tx, {"x": True, "n": False}), *({k: t[k] for k in "xn"} for t in (grads, params))
    out, _ = tx.update(grads, tx.init(params), params)
    updates, own_params = seen[0]
    assert updates["x"].dtype == jnp.float32
    assert own_params["x"].dtype == jnp.bfloat16, "the parameters are not those of the caller"
    assert out["n"] is grads["n"]
    if outermost:
        assert updates["n"] is grads["n"]
        assert updates["empty"] is grads["empty"]
        assert updates["none"] is None


def test_float32_is_not_touched():
    seen = []
    tx = gx.combinator(lambda step, params: (), lambda step, u, s, p: (seen.append(u), (u, s))[1])
    g = {"w": jnp.ones(2), "d": jnp.ones((), jnp.complex64)}
    tx.update(g, ())
    assert all(x is y for x, y in zip(*map(jax.tree.leaves, (seen[0], g)), strict=True))
    assert gx.tree.widened({"a": jnp.ones((), jnp.float16), "n": 3, "x": None}) == {"a": 1.0, "n": 3, "x": None}


def test_the_output_of_a_pair_is_widened_too():
    half = gx.GradientTransformation(lambda params: (), lambda g, s, params=None: (gx.tree.cast(g, jnp.bfloat16), s))
    tx = where_large(half)
    assert tx.update(BRAIN, tx.init(BRAIN), BRAIN)[0]["w"].dtype == jnp.bfloat16


LAWS = ["updates_keep_their_form", "state_is_a_fixed_point", "half_precision_is_right", "jit_equals_eager"]


@pytest.mark.parametrize(
    "tx", [where_large(gx.adam(0.1)), two_times(gx.adam(0.1)), average_of_the_tree()], ids=lambda tx: tx.factory_name
)
def test_own_parts_keep_the_laws_of_precision(tx):
    assert check(tx, LAWS).kept == tuple(LAWS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        Case(where_large(gx.adam(0.1))),
        Case(two_times(gx.adam(0.1)), excused={"eager_steps_compile_once": "the loop is over a function of its own"}),
        Case(average_of_the_tree()),
    ],
    ids=lambda case: case.transform.factory_name,
)
def test_own_parts_keep_all_laws(case):
    check(case)


@gx.transformation(role="wrapper")
def with_noise(inner):
    """`inner` of the gradients with noise by the key of the caller."""

    def update(step, updates, state, params):
        noise = gx.tree.random_like(step.extra["key"], updates)
        out, new = step.update(inner, jax.tree.map(jnp.add, updates, noise), state["inner"], params)
        return out, {"inner": new}

    return gx.combinator(lambda step, params: {"inner": step.init(inner, params)}, update)


def test_a_wrapper_that_reads_an_extra():
    case = Case(with_noise(gx.scale_by_ema(0.9)), extras=lambda params: {"key": jax.random.key(0)})
    assert check(case, ["extras_pass", "restores", "states_have_names"]).kept


@pytest.mark.parametrize("pair", [optax.trace(0.9), tuple(optax.trace(0.9))], ids=["of Optax", "bare"])
def test_a_pair_inside_of_a_wrapper(pair):
    tx, own = where_large(pair), where_large(gx.add_momentum(0.9))
    with jax.numpy_dtype_promotion("standard"):  # for Optax
        (out, state), (wanted, _) = (t.update(BRAIN, t.init(BRAIN), BRAIN) for t in (tx, own))
    np.testing.assert_array_equal(np.asarray(out["w"], np.float32), np.asarray(wanted["w"], np.float32))
    assert all(name.startswith("where_large/inner/") for name in gx.state_dict(tx, state))


AROUND = {
    "own": where_large,
    "chain": lambda inner: gx.chain(gx.clip_by_global_norm(1.0), inner),
    "average_params": gx.average_params,
    "cautious": gx.cautious,
    "over_layers": gx.over_layers,
    "graft": lambda inner: gx.graft(inner, gx.identity()),
    "skip_nonfinite": gx.skip_nonfinite,
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("pair", [optax.adam(0.1), optax.sgd(0.1, 0.9)], ids=["adam", "sgd"])
def test_the_state_of_a_pair_keeps_its_dtypes_inside_of_what_computes_in_float32(around, pair):
    params = gx.tree.cast({"w": jnp.ones((2, 2)), "b": jnp.ones((2, 1))}, jnp.bfloat16)
    tx = around(pair)
    state = tx.init(params)
    with jax.numpy_dtype_promotion("standard"):  # for Optax
        _, new = tx.update(params, state, params)
    same_form(new, state, "the state")


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_init_of_a_function_of_trees_gets_what_its_update_gets(dtype):
    seen = []

    def init(params):
        seen.append(params)
        return ()

    tx = gx.treewise(lambda g, s, p: (seen.append(p), (g, s))[1], init, needs_params=True)
    params = gx.tree.cast(BRAIN, dtype)
    tx.update(params, tx.init(params), params)
    assert [p["w"].dtype for p in seen] == [jnp.float32] * 2

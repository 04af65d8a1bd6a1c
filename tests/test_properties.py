"""Properties of random expressions: what holds for the named optimizers holds for whatever is composed."""

import json
import operator
from functools import partial

import chex
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings

import gradtx as gx
from gradtx import schedules

the_same = partial(settings, deadline=None, derandomize=True)  # the same examples in every run

PARAMS = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.asarray([0.25, -1.0, 2.0])}
GRADIENTS = [jax.tree.map(lambda p, i=i: jnp.cos(p * (i + 1)), PARAMS) for i in range(3)]

decays = st.sampled_from([0.0, 0.3, 0.9, 0.999])
factors = st.sampled_from([-1.0, 0.5, 2])
numbers = st.one_of(decays, decays.map(schedules.constant), decays.map(lambda d: schedules.linear(d, 0.5, 4)))

parts = st.one_of(
    st.sampled_from([gx.identity(), gx.sign(), gx.absolute(), gx.square(), gx.delay(), gx.running_sum(0.5)]),
    st.builds(gx.scale, factors),
    st.builds(gx.scale_by_ema, numbers),
    st.builds(gx.bias_correction, numbers),
    st.builds(gx.add_momentum, numbers, st.booleans()),
    st.builds(gx.clip, numbers.filter(lambda bound: bound != 0.0)),
    st.builds(gx.add_decayed_weights, numbers),
    # Directions, not optimizers: after a learning rate a chain refuses what belongs before it.
    st.builds(gx.scale_by_adam, numbers),
    st.builds(gx.scale_by_rms, numbers),
)
labels = gx.by_path({"w": "a", "**": "b"})


def _compositions(inner):
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map(lambda items: gx.chain(*items)),
        several.map(lambda items: gx.chain(*((f"part{i}", item) for i, item in reversed(list(enumerate(items)))))),
        st.builds(gx.ratio, inner, inner.map(lambda tx: gx.chain(tx, gx.absolute())), st.just(0.1)),
        st.builds(lambda a, b: gx.parallel(operator.add, a, b), inner, inner),
        st.builds(lambda a, b: gx.partition({"b": a, "a": b}, labels), inner, inner),
        st.builds(lambda a: gx.masked(a, gx.by_path({"w": True, "**": False})), inner),
        st.builds(gx.inject, inner),
    )


expressions = st.recursive(parts, _compositions, max_leaves=5)
kernels = st.recursive(
    parts,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda items: gx.chain(*items)),
        st.builds(lambda a, b: gx.parallel(operator.sub, a, b), inner, inner),
    ),
    max_leaves=6,
)


def _run(tx):
    def run():
        params, state, out = PARAMS, tx.init(PARAMS), []
        for g in GRADIENTS:
            updates, state = tx.update(g, state, params)
            params = gx.apply_updates(params, jax.tree.map(lambda u: 0.1 * u, updates))
            out.append(updates)
        return out, state

    return jax.jit(run)()


def _without_kernels(tx):
    """The same expression, each primitive behind a pair that has no kernel: every combinator works on trees."""
    if tx.factory_name == "chain":
        return gx.chain(*map(_without_kernels, tx.arguments["parts"]))
    if tx.factory_name == "parallel":
        return gx.parallel(tx.combine, *map(_without_kernels, tx.branches))
    return gx.GradientTransformation(tx.init, tx.update)


@the_same(max_examples=30)
@given(kernels)
def test_a_composed_kernel_does_what_its_parts_do_one_after_the_other(tx):
    assert tx._built().work.leaf is not None
    plain = _without_kernels(tx)
    assert plain._built().work.leaf is None
    (got, state), (wanted, plain_state) = _run(tx), _run(plain)
    assert jax.tree.structure(state) == jax.tree.structure(plain_state)
    for a, b in zip(jax.tree.leaves((got, state)), jax.tree.leaves((wanted, plain_state)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@the_same(max_examples=40)
@given(expressions)
def test_states_are_fixed_points_and_summaries_count_them(tx):
    first = tx.init(PARAMS)
    updates, state = _run(tx)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, first)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates[0], PARAMS)
    assert gx.summary(tx, PARAMS).nbytes == gx.tree.nbytes(first)


@the_same(max_examples=100)
@given(expressions)
def test_values_print_compare_and_travel(tx):
    if "parallel(" not in repr(tx):  # its function has no name that could be looked up
        assert eval(repr(tx), vars(gx)) == tx
        assert gx.from_config(json.loads(json.dumps(gx.to_config(tx)))) == tx
    leaves, treedef = jax.tree.flatten(tx)
    again = treedef.unflatten(leaves)
    assert again == tx
    assert hash(again) == hash(tx)
    assert len(str(gx.describe(tx)).splitlines()) >= 1


def _by(pattern):
    return gx.by_path({pattern: 1} | ({} if pattern == "**" else {"**": 2}), allow_unused=True)


@the_same(max_examples=60)
@given(st.lists(st.sampled_from(["a", "b", "kernel", "0", "x1"]), min_size=1, max_size=5))
def test_patterns_match_the_paths_they_are_made_of(names):
    tree = 1.0
    for name in reversed(names):
        tree = {name: tree}
    path = "/".join(names)
    for pattern in (path, "**", f"**/{names[-1]}", f"{names[0]}/**", "/".join("*" for _ in names), f"**/{path}"):
        assert jax.tree.leaves(_by(pattern)(tree)) == [1]
    for pattern in (f"{path}/more", "/".join("*" for _ in [*names, ""]), f"**/{names[-1]}y"):
        assert jax.tree.leaves(_by(pattern)(tree)) == [2]


@the_same(max_examples=60)
@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=20))
def test_the_global_norm_is_that_of_float64(values):
    exact = np.sqrt(np.sum(np.square(np.asarray(values, np.float64))))
    got = gx.tree.norm([jnp.asarray(values[:3], jnp.float32), jnp.asarray(values[3:], jnp.float32)])
    np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-37)

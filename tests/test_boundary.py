"""What goes in and comes out of the outermost call: structures, dtypes and buffers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import schedules

PARAMS = {"a": jnp.ones(2), "b": {"w": jnp.ones((2, 2)), "x": jnp.ones(3)}}
LEAF_FOR_A_BRANCH = {"a": jnp.ones(2), "b": jnp.ones(2)}
BRANCH_FOR_A_LEAF = {"a": {"deeper": jnp.ones(2)}, "b": PARAMS["b"]}

OPTIMIZERS = [
    gx.sgd(0.1),
    gx.sgd(0.1, 0.9),
    gx.adam(0.1),
    gx.adamw(0.1),
    gx.lamb(0.1),
    gx.adafactor(0.1),
    gx.sm3(0.1),
    gx.prodigy(),
    gx.dog(),
    gx.momo(),
    gx.accumulate_gradients(gx.adam(0.1), 2),
    gx.lookahead(gx.adam(0.1), 2, 0.5),
    gx.average_params(gx.adam(0.1)),
    gx.skip_nonfinite(gx.adam(0.1)),
    gx.store(gx.adam(0.1), gx.codecs.bfloat16),
    gx.chain(gx.clip_by_global_norm(1.0), gx.adam(0.1)),
    gx.masked(gx.adam(0.1), gx.where(lambda path, p: p.ndim > 1)),
    gx.bucketed(gx.adam(0.1), min_count=1),
]


@pytest.mark.parametrize("tx", OPTIMIZERS, ids=lambda tx: repr(tx)[:40])
@pytest.mark.parametrize("updates", [LEAF_FOR_A_BRANCH, BRANCH_FOR_A_LEAF], ids=["leaf for branch", "branch for leaf"])
def test_updates_of_another_structure(tx, updates):
    """Whatever the transform: with the parameters, or with a state that is shaped like them."""
    state, extras = tx.init(PARAMS), {"value": 1.0}
    with pytest.raises(gx.GradtxValueError, match=r"structures of the updates and the parameters differ.*'?b|a/deeper"):
        tx.update(updates, state, PARAMS, **extras)
    with pytest.raises(gx.GradtxValueError, match=r"only the updates have [ab]"):
        gx.apply_updates(PARAMS, updates)


@pytest.mark.parametrize("tx", OPTIMIZERS[1:3], ids=repr)
def test_a_state_of_another_structure_without_the_parameters(tx):
    for updates, path in ((LEAF_FOR_A_BRANCH, "b"), (BRANCH_FOR_A_LEAF, "a/deeper")):
        with pytest.raises(gx.GradtxValueError, match=f"updates and the state differ: only the updates have {path}"):
            tx.update(updates, tx.init(PARAMS))


@pytest.mark.parametrize("tx", OPTIMIZERS, ids=lambda tx: repr(tx)[:40])
def test_the_loss_in_place_of_the_gradients(tx):
    with pytest.raises(gx.GradtxValueError, match="did you pass the loss instead of the gradients"):
        tx.update(jnp.asarray(1.0), tx.init(PARAMS), PARAMS, value=1.0)


def test_what_has_no_gradient_may_be_anything_in_the_parameters():
    """As the gradients of an Equinox module: None for functions and integers."""
    model = {"w": jnp.ones(2), "activation": jnp.tanh, "count": jnp.arange(2)}
    grads = {"w": jnp.ones(2), "activation": None, "count": None}
    tx = gx.adamw(0.1)
    updates, _ = tx.update(grads, tx.init({**grads, "w": model["w"]}), model)
    assert updates["activation"] is None
    assert updates["w"].shape == (2,)


@pytest.mark.parametrize("updates_dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("params_dtype", ["float32", "bfloat16", "float16", "float8_e4m3fn"])
def test_a_bare_sum_keeps_the_dtypes_of_the_parameters(params_dtype, updates_dtype):
    params = gx.tree.cast(PARAMS, params_dtype)
    g = gx.tree.cast(PARAMS, updates_dtype)
    for tx in (gx.sgd(0.1), gx.adamw(0.1), gx.master_weights(gx.adam(0.1))):
        updates, _ = tx.update(g, tx.init(params), params)
        assert {u.dtype for u in jax.tree.leaves(updates)} == {jnp.dtype(params_dtype)}
        moved = gx.apply_updates(params, updates)
        assert {p.dtype for p in jax.tree.leaves(moved)} == {jnp.dtype(params_dtype)}
        assert np.all(np.asarray(moved["a"], np.float32) < 1)
    updates, _ = gx.sgd(0.1).update(g, gx.sgd(0.1).init(params))
    assert {u.dtype for u in jax.tree.leaves(updates)} == {jnp.dtype(updates_dtype)}


def test_only_what_goes_out_is_rounded():
    """Between the parts of a chain, 256 parts of 1 + 2^-10 are not the same as 256 of 1."""
    g = jnp.ones(4, jnp.bfloat16)
    tx = gx.chain(gx.scale(1 + 2**-10), gx.add_constant(-1.0))
    np.testing.assert_array_equal(tx.update(g, tx.init(g), g)[0], jnp.full(4, 2**-10, jnp.bfloat16))


def test_master_weights_lose_nothing():
    """The update is a difference of two half-precision numbers that are close, and so exact."""
    params = jnp.asarray([1.0, 300.0, 1e-3, -0.7], jnp.bfloat16)
    tx = gx.master_weights(gx.sgd(1e-3))
    state = tx.init(params)
    for _ in range(50):
        updates, state = tx.update(params, state, params)
        params = params + updates
        np.testing.assert_array_equal(params, state.params.astype(jnp.bfloat16))
    assert params[0] < 1


def test_python_floats_and_numpy_arrays_are_parameters():
    params = {"float": 1.0, "numpy": np.ones(2, np.float32), "scalar": np.float32(2.0)}
    arrays = jax.tree.map(jnp.asarray, params)
    for tx in (gx.sgd(0.1), gx.lamb(0.1), gx.master_weights(gx.adam(0.1)), gx.adafactor(0.1), gx.sm3(0.1), gx.dog()):
        got, wanted = (tx.update(p, tx.init(p), p)[0] for p in (params, arrays))
        jax.tree.map(np.testing.assert_array_equal, got, wanted)
    assert gx.tree.size(params) == 4
    assert gx.tree.nbytes(params) == gx.tree.nbytes(arrays)
    assert gx.tree.cast(params, jnp.bfloat16)["float"].dtype == jnp.bfloat16
    assert gx.summary(gx.adam(0.1), params) == gx.summary(gx.adam(0.1), arrays)
    moved = gx.apply_updates(params, jax.tree.map(jnp.ones_like, arrays))
    np.testing.assert_allclose([moved["float"], moved["scalar"]], [2.0, 3.0])


# What somebody still holds is not deleted by a step that is given the memory of state and parameters.


def donated(tx, params, state, g):
    """A step with the memory of the parameters and the state; both are gone after it."""

    def step(params, state):
        updates, state = tx.update(g, state, params, value=1.0)
        return gx.apply_updates(params, updates), state

    return jax.jit(step, donate_argnums=(0, 1))(jax.tree.map(jnp.copy, params), state)


def test_hyperparameters_that_are_arrays_stay_the_callers():
    rate = jnp.asarray(0.1)
    tx = gx.inject(gx.adam(rate, rate))
    state = tx.init(PARAMS)
    donated(tx, PARAMS, state, PARAMS)
    assert "0.1" in repr(tx)
    donated(tx, PARAMS, tx.init(PARAMS), PARAMS)


def test_numbers_that_are_set_stay_the_callers():
    tx, rate, count = gx.inject(gx.adam(0.1)), jnp.asarray(0.2), jnp.asarray(0.3)
    state = gx.set_hyperparams(tx.init(PARAMS), learning_rate=rate, b1=rate)
    state = gx.tree.replace(state, eps=count)
    donated(tx, PARAMS, state, PARAMS)
    assert float(rate) == pytest.approx(0.2)
    assert float(count) == pytest.approx(0.3)
    number = np.asarray(0.2, np.float32)
    for change in (lambda s: gx.set_hyperparams(s, learning_rate=number), lambda s: gx.tree.replace(s, eps=number)):
        changed = change(tx.init(PARAMS))
        before = jax.tree.map(np.array, changed)
        number[...] = 0.9
        jax.tree.map(np.testing.assert_array_equal, changed, before)
        number[...] = 0.2


def test_what_is_read_from_a_state_survives_it():
    rate = schedules.linear(0.1, 0.0, 10)
    tx = gx.chain(gx.record("norm", gx.tree.norm), gx.average_params(gx.inject(gx.adam(0.1, b1=rate))))
    state = tx.init(PARAMS)
    _, state = tx.update(PARAMS, state, PARAMS)
    held = [gx.get_hyperparams(state), gx.logs(state), gx.eval_params(state, PARAMS)]
    donated(tx, PARAMS, state, PARAMS)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(held))


def test_no_program_copies_what_it_only_passes_on():
    """A gradient that a state keeps costs a copy where the gradient is the caller's, and none within a train step."""
    tx = gx.delay()
    state = tx.init(PARAMS)
    out, new = jax.jit(tx.update)(PARAMS, state)
    kept = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(new)]
    assert not set(kept) & {x.unsafe_buffer_pointer() for x in jax.tree.leaves((PARAMS, out))}

    def step(x, state):
        _, state = tx.update(jax.tree.map(jnp.sin, x), state)
        return state

    program = jax.jit(step).lower(PARAMS, state).compile().as_text()
    assert " copy(" not in program


def test_a_bare_pair_may_use_python_numbers():
    """Python shares small numbers: two zeros of a state are one object, and no buffer."""
    tx = gx.GradientTransformation(
        lambda params: {"a": 0, "b": 0},
        lambda updates, state, params=None: (jax.tree.map(lambda g: 0.5, updates), {"a": 1, "b": 1}),
    )
    state = tx.init(PARAMS)
    assert state == {"a": 0, "b": 0}
    updates, state = tx.update(PARAMS, state, gx.tree.cast(PARAMS, jnp.bfloat16))
    assert state == {"a": 1, "b": 1}
    assert {u.dtype for u in jax.tree.leaves(updates)} == {jnp.dtype("bfloat16")}


def test_numbers_out_of_range_are_not_set():
    state = gx.inject(gx.chain(gx.adam(0.1), gx.scale(1.0))).init(PARAMS)
    for name, bad in (("b1", 1.5), ("learning_rate", -1e-4), ("eps", float("nan"))):
        with pytest.raises(gx.GradtxValueError, match=rf"set_hyperparams: {name}: expected .*, got"):
            gx.set_hyperparams(state, **{name: bad})
    assert gx.get_hyperparams(gx.set_hyperparams(state, b1=0.5, factor=-3.0))["b1"] == 0.5


@pytest.mark.parametrize("read", [gx.get_hyperparams, gx.logs, gx.set_hyperparams], ids=lambda f: f.__name__)
def test_a_transform_in_place_of_a_state(read):
    with pytest.raises(gx.GradtxTypeError, match=rf"{read.__name__}: expected a state, got the transform inject\("):
        read(gx.inject(gx.adam(0.1)))


def test_a_bare_pair_may_leave_some_leaves_out():
    params = {"a": jnp.ones(3), "b": jnp.ones((3, 2))}
    tx = gx.GradientTransformation(lambda p: (), lambda u, s, p=None: ({"a": None, "b": u["b"]}, s))
    updates, _ = tx.update(params, (), params)
    assert updates["a"] is None
    assert updates["b"].shape == (3, 2)


def test_a_pair_of_any_arguments_gets_its_extra():
    tx = gx.GradientTransformation(lambda p: (), lambda u, s, *rest, value: (u * value, s))
    np.testing.assert_array_equal(tx.update(jnp.ones(2), (), value=3.0)[0], [3.0, 3.0])


@pytest.mark.parametrize("tx", [gx.mechanize(gx.sgd(0.1)), gx.remove_radial(gx.sgd(0.1)), gx.add_decayed_weights(0.1)])
def test_a_parameter_that_cannot_be_updated_is_told_by_its_path(tx):
    updates, params = {"enc": {"w": jnp.ones(2)}}, {"enc": {"w": jnp.ones(2, jnp.int32)}}
    with pytest.raises(gx.GradtxTypeError, match="'enc/w' of the parameters"):
        tx.update(updates, tx.init(updates), params)


def test_whole_numbers_pass_through_a_wrapper_of_what_takes_them():
    tx, updates = gx.inject(gx.identity()), jnp.arange(3)
    np.testing.assert_array_equal(tx.update(updates, tx.init(updates))[0], updates)


def test_what_takes_any_dtype_rounds_nothing_in_the_middle():
    updates = jnp.asarray(np.random.default_rng(0).standard_normal(64), jnp.bfloat16)
    plain = gx.chain(gx.clip_by_global_norm(1.0), gx.scale(0.3))
    through = gx.chain(gx.clip_by_global_norm(1.0), gx.identity(), gx.scale(0.3))
    found, expected = (jax.jit(tx.update)(updates, tx.init(updates))[0] for tx in (through, plain))
    np.testing.assert_array_equal(np.float32(found), np.float32(expected))


def test_a_hint_on_the_state_is_given_once():
    inner = gx.adam(0.1)
    tx = gx.GradientTransformation(inner.init, lambda u, s, p=None: inner.update(u, s, p))
    params, others = {"a": jnp.ones(2)}, {"b": jnp.ones(3)}
    with pytest.raises(gx.GradtxValueError) as found:
        tx.update(params, inner.init(others), params)
    assert str(found.value).count("load_state_dict") <= 1

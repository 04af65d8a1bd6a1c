"""Norms of many arrays at a time, and work on arrays that are alike."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx._base.sharing import for_each
from gradtx._core import norms

cpu = importlib.import_module("gradtx._cpu.norms")  # the package shows the function of that name

SIZES = [1.0, 1e25, 3e37, 1e-30, 1e8, 1e-20, 0.0]


def _arrays(dtype=np.float32):
    random = np.random.default_rng(0)
    return [np.asarray(size * random.uniform(0.5, 1.0, (3, 4)), dtype) for size in SIZES]


def _exact(x):
    return np.sqrt(np.sum(np.abs(np.asarray(x, np.complex128 if np.iscomplexobj(x) else np.float64)) ** 2))


def wide(groups):
    """From sums in float64 from the beginning, as for several groups."""
    return cpu.norms([*groups, [(jnp.ones(1), None)]])[:-1]


def by_need(groups):
    return [cpu._by_need(group) for group in groups]


def as_it_comes(groups):
    return norms._norms(groups, None)


WAYS = [wide, by_need, norms._scaled]


def _each(way, arrays):
    return way([[(x, None)] for x in arrays])


@pytest.mark.parametrize("way", [as_it_comes, *WAYS], ids=lambda way: way.__name__)
def test_each_norm_is_right_whatever_the_others_are(way):
    # One that overflows must not take those with it that would go under in its units.
    arrays = _arrays()
    got = jax.jit(lambda xs: _each(way, xs))(arrays)
    np.testing.assert_allclose(got, [_exact(x) for x in arrays], rtol=1e-6)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_is_not_finite_is_seen_and_spoils_no_other(way):
    arrays = [jnp.asarray([1.0, jnp.nan]), jnp.asarray([1.0, -jnp.inf]), jnp.asarray([3.0, 4.0]), jnp.asarray([1e30])]
    got = _each(way, arrays)
    np.testing.assert_allclose(got, [np.nan, np.inf, 5.0, 1e30], rtol=1e-6)


def test_precisions_stay_apart():
    arrays = [jnp.ones(4, jnp.bfloat16), jnp.full(4, 3e4, jnp.float16), jnp.full(3, 1e20 + 1e20j, jnp.complex64)]
    got = norms.norms(arrays)
    assert [x.dtype for x in got] == [jnp.float32] * 3
    np.testing.assert_allclose(got, [2.0, 6e4, 1e20 * 6**0.5], rtol=1e-3)
    with jax.enable_x64(True):
        got = norms.norms([jnp.full(4, 1e200), jnp.full(4, 1e30, jnp.float32), jnp.full(4, 1e-200)])
        assert [x.dtype for x in got] == [jnp.float64, jnp.float32, jnp.float64]
        np.testing.assert_allclose(got, [2e200, 2e30, 2e-200], rtol=1e-6)


@pytest.mark.parametrize("mapped", [False, True])
def test_derivatives_of_norms(mapped):
    def total(xs):
        return sum(jnp.log1p(x) for x in norms.norms(xs))

    xs = [jnp.asarray([3.0, 4.0]), jnp.zeros(2), jnp.asarray([1.0])]
    if mapped:
        gradients = jax.vmap(jax.grad(total))([jnp.stack([x, x]) for x in xs])
        gradients = [g[1] for g in gradients]
    else:
        gradients = jax.grad(total)(xs)
    for got, wanted in zip(gradients, ([0.1, 0.8 / 6], [0.0, 0.0], [0.5]), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("sizes", [(1.0, 1e-3), (1e25, 1.0), (1.0, 1e25), (1e-25, 1e-24), (1e-25, 1.0), (0.0, 1e-30)])
def test_one_norm_of_more_arrays_than_are_summed_first(way, sizes):
    random = np.random.default_rng(0)
    shapes = [(7,)] * (cpu._FIRST + 3) + [(3,)] * 4
    arrays = [jnp.asarray(sizes[shape == (3,)] * random.uniform(0.5, 1.0, shape), jnp.float32) for shape in shapes]
    exact = _exact(jnp.concatenate(arrays))
    np.testing.assert_allclose(way([[(x, None) for x in arrays]])[0], exact, rtol=1e-6)
    np.testing.assert_allclose(way([[(2.0 * x, x) for x in arrays]])[0], exact, rtol=1e-6)


@pytest.mark.parametrize("dtypes", [[jnp.float32], [jnp.bfloat16], [jnp.float32, jnp.bfloat16, jnp.complex64]])
def test_one_norm_of_many_small_arrays(dtypes):
    random = np.random.default_rng(0)
    shapes = [(), (5,), (0,), (2, 3), (100, 100)]
    xs, ys = (
        [jnp.asarray(random.standard_normal(shapes[i % 5]), dtypes[i % len(dtypes)]) for i in range(100)]
        for _ in range(2)
    )
    exact = [np.asarray(x, complex) for x in xs], [np.asarray(y, complex) for y in ys]
    wanted = np.sqrt(sum(np.sum(np.abs(x) ** 2) for x in exact[0]))
    np.testing.assert_allclose(jax.jit(norms.norm)(xs), wanted, rtol=1e-6)
    wanted = np.sqrt(sum(np.sum(np.abs(x - y) ** 2) for x, y in zip(*exact, strict=True)))
    np.testing.assert_allclose(jax.jit(norms.distance)(xs, ys), wanted, rtol=1e-6)


@pytest.mark.parametrize("kind", [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit])
def test_one_norm_of_many_small_arrays_that_are_spread(kind):
    mesh = jax.make_mesh((2,), ("x",), axis_types=(kind,))
    with jax.set_mesh(mesh):
        places = [jax.sharding.PartitionSpec("x"), jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(None, "x")]
        xs = [jax.device_put(jnp.ones((2, 4)), jax.sharding.NamedSharding(mesh, places[i % 3])) for i in range(120)]
        for norm in (norms.norm, jax.jit(norms.norm)):
            np.testing.assert_allclose(norm(xs), 960**0.5, rtol=1e-6)


def test_one_norm_of_many_small_arrays_is_a_small_program():
    # One sum for each array would be three kernels, and of thousands XLA makes one long addition.
    params = [jax.ShapeDtypeStruct((8,), jnp.float32)] * 300
    text = jax.jit(gx.tree.norm).lower(params).compile().as_text()
    assert text.count(" fusion(") < 2 * cpu._FIRST + 10


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("count", [1, 4, 2 * cpu._FIRST])
def test_norms_read_once_and_keep_nothing_in_between(count, dtype):
    # Of a number by which all is multiplied XLA would make an array for each shape, and widened arrays for a branch.
    params = [jax.ShapeDtypeStruct((512, 1024), dtype)] * count
    compiled = jax.jit(gx.tree.norm).lower(params).compile()
    size = gx.tree.nbytes(params)
    assert compiled.memory_analysis().temp_size_in_bytes < 0.01 * size
    # The account has both branches: the first are read again where squares may have left the range.
    choices = compiled.as_text().count(" conditional(")
    assert choices == (dtype == jnp.float32)
    again = choices * min(count, cpu._FIRST) / count
    assert compiled.cost_analysis()["bytes accessed"] < (1.01 + again) * size


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_clipping_writes_nothing_in_between(dtype):
    params = [jax.ShapeDtypeStruct((512, 1024), dtype)] * 3
    tx = gx.chain(gx.clip_by_global_norm(1.0), gx.sgd(0.1, 0.9))

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return gx.apply_updates(params, updates), state

    state = jax.eval_shape(tx.init, params)
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 0.01 * gx.tree.nbytes(params)


def test_alike_arrays_are_traced_once_and_others_each():
    calls = []

    def work(x, scale):
        calls.append(x.shape)
        return scale * x

    xs = [jnp.full(n, float(i)) for i, n in enumerate([2, 3, 2, 2, 5, 3])]

    def all_of(xs, factor):
        return for_each(lambda x, y: work(x, factor * y), [(x, jnp.float32(i)) for i, x in enumerate(xs)])

    compiled = jax.jit(all_of)(xs, 2.0)
    assert sorted(calls) == [(2,), (3,), (5,)]
    calls.clear()
    eager = all_of(xs, 2.0)
    assert len(calls) == 6  # nothing to compile there
    for x, y, i in zip(compiled, eager, range(6), strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(x, np.full(xs[i].shape, 2.0 * i * i))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (gx.sgd(0.1, 0.9), optax.sgd(0.1, 0.9)),
        (gx.adam(0.1), optax.adam(0.1)),
        (gx.adamw(0.1), optax.adamw(0.1)),
        (gx.lion(0.1), optax.lion(0.1)),
        (
            gx.chain(gx.clip_by_global_norm(1.0), gx.adamw(0.1)),
            optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.1)),
        ),
        (gx.lamb(0.1), optax.lamb(0.1)),
        (gx.bucketed(gx.adam(0.1), min_count=2), optax.adam(0.1)),
    ],
    ids=lambda tx: getattr(tx, "name", ""),
)
def test_the_program_of_a_model_is_no_longer_than_that_of_optax(ours, theirs):
    # What is to be compiled, in lines: compile time itself depends on the machine.
    params = [jnp.ones(shape) for shape in ((8, 16), (16,), (16, 8), (8,)) for _ in range(30)]

    def lines(tx):
        with jax.numpy_dtype_promotion("standard"):
            return jax.jit(tx.update).lower(params, jax.eval_shape(tx.init, params), params).as_text().count("\n")

    assert lines(ours) <= lines(theirs)

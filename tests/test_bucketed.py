"""Small arrays worked on together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES

import gradtx as gx
from gradtx._executions.bucketed import _rows

WITH_KERNEL = [case for case in CASES if case.transform._built().work.leaf is not None]
FAST = {"adamw", "sgd, momentum", "rmsprop, centred with momentum", "adan", "lion", "scale_by_ema", "parallel"}


def small(seed, dtype=jnp.float32, scale=1.0):
    """Some twenty small arrays of three shapes, others that go in no stack, and places without arrays."""
    random = np.random.default_rng(seed)

    def array(*shape):
        x = scale * random.standard_normal(shape)
        return jnp.asarray(x + 1j * random.standard_normal(shape) if jnp.iscomplexobj(dtype(0)) else x, dtype)

    return {
        "layers": [{"w": array(3, 4), "b": array(4), "scale": array()} for _ in range(7)],
        "only one": array(7),
        "large": array(20, 20),
        "empty": array(0),
        "none": None,
    }


def bucketed(inner, max_size=4096):
    return gx.bucketed(inner, max_size, min_count=2)


def close(got, wanted, rtol=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol, rtol), got, wanted)


def train(tx, dtype=jnp.float32, steps=4, **extra):
    params = small(0, dtype)
    state = tx.init(params)
    step = jax.jit(lambda g, state, params: tx.update(g, state, params, **extra))
    for seed in range(1, steps + 1):
        updates, state = step(small(seed, dtype), state, params)
        params = gx.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=c.name, marks=[] if c.name in FAST else [pytest.mark.slow]) for c in WITH_KERNEL],
)
def test_the_numbers_are_those_of_the_inner_transform(case):
    grads = [jax.tree.map(jnp.abs, small(seed)) if case.nonnegative else small(seed) for seed in (1, 2)]
    params, outputs = small(0), []
    for tx in (case.transform, bucketed(case.transform, max_size=100)):

        def both(params, first, second, tx=tx):
            updates, state = tx.update(first, tx.init(params), params)
            return updates, tx.update(second, state, params)[0]

        outputs.append(jax.jit(both)(params, *grads))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=3e-6, atol=3e-6), *outputs)


def test_only_small_arrays_that_have_company_are_in_stacks():
    ((momentum, *_),) = bucketed(gx.sgd(0.1, 0.9), max_size=100).init(small(0))
    shapes = {name: stack.shape for name, stack in momentum.stacks.items()}
    assert shapes == {"float32[3,4]": (7, 3, 4), "float32[4]": (7, 4), "float32[]": (7,)}
    assert {path: x.shape for path, x in momentum.others.items()} == {
        "only one": (7,),
        "large": (20, 20),
        "empty": (0,),
    }
    plain, stacked = gx.sgd(0.1, 0.9).init(small(0)), bucketed(gx.sgd(0.1, 0.9)).init(small(0))
    assert gx.tree.nbytes(plain) == gx.tree.nbytes(stacked)
    assert len(jax.tree.leaves(stacked)) == 6 < len(jax.tree.leaves(plain))


def test_a_stack_is_of_many_arrays():
    params = {"few": [jnp.ones(3)] * 63, "many": [jnp.ones(4)] * 64}
    ((momentum, *_),) = gx.bucketed(gx.sgd(0.1, 0.9)).init(params)
    assert {name: stack.shape for name, stack in momentum.stacks.items()} == {"float32[4]": (64, 4)}
    assert len(momentum.others) == 63


def test_where_nothing_is_kept_nothing_is_stacked():
    assert jax.tree.leaves(bucketed(gx.sgd(0.1)).init(small(0))) == []
    close(train(bucketed(gx.sgd(0.1)))[0], train(gx.sgd(0.1))[0], rtol=0)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.complex64])
def test_other_dtypes(dtype):
    tx = gx.adam(0.1)
    got, state = train(bucketed(tx), dtype)
    close(got, train(tx, dtype)[0], rtol=1e-2 if dtype is jnp.bfloat16 else 1e-5)
    assert {x.dtype for x in jax.tree.leaves(got)} == {jnp.dtype(dtype)}
    assert jnp.bfloat16 not in {x.dtype for x in jax.tree.leaves(state)}


def test_dtypes_are_not_mixed():
    params = [jnp.ones(3, dtype) for dtype in (jnp.float32, jnp.bfloat16, jnp.complex64) for _ in range(2)]
    updates, ((momentum, *_),) = bucketed(gx.sgd(1.0, 0.9)).update(
        params, bucketed(gx.sgd(1.0, 0.9)).init(params), params
    )
    assert {name: x.shape for name, x in momentum.stacks.items()} == {"float32[3]": (4, 3), "complex64[3]": (2, 3)}
    assert [x.dtype for x in updates] == [x.dtype for x in params]


def test_gradients_of_another_precision_find_their_stack():
    with jax.enable_x64(True):
        params = [jnp.ones(3, jnp.float32)] * 2
        tx = bucketed(gx.sgd(1.0, 0.9))
        updates, _ = tx.update([x.astype(jnp.float64) for x in params], tx.init(params), params)
        assert [x.dtype for x in updates] == [jnp.float32] * 2
        # Here the shape does not tell.
        mixed = [*params, *(x.astype(jnp.float64) for x in params)]
        updates, ((momentum, *_),) = tx.update(mixed, tx.init(mixed), mixed)
        assert {name: x.shape for name, x in momentum.stacks.items()} == {"float32[3]": (2, 3), "float64[3]": (2, 3)}
        assert [x.dtype for x in updates] == [x.dtype for x in mixed]


def test_paths_that_read_alike_are_kept_apart():
    params = {"a/b": jnp.full((2, 2), 1.0), "a": {"b": jnp.full((3, 3), 2.0)}}
    tx = bucketed(gx.sgd(1.0, 0.9))
    state = tx.init(params)
    assert sorted(x.shape for x in jax.tree.leaves(state)) == [(2, 2), (3, 3)]
    close(tx.update(params, state)[0], jax.tree.map(jnp.negative, params))


def test_what_is_in_stacks_has_no_places_besides():
    # Each would be a Python object to pass in and out at every step.
    few, many = (bucketed(gx.adam(0.1)).init([jnp.ones(16) for _ in range(count)]) for count in (64, 128))
    assert jax.tree.structure(few) == jax.tree.structure(many)
    # Two moments, and two scalars for each bias correction.
    assert len(jax.tree.leaves(many)) == 6
    assert jax.tree.structure(many).num_nodes < 24


def test_work_that_mixes_the_elements_of_an_array_stays_within_it():
    tx = gx.memory(jnp.zeros_like, lambda g, m, p: m + g / jnp.sum(jnp.abs(g)), lambda g, m, p: m)
    close(train(bucketed(tx))[0], train(tx)[0])


def test_names_are_read_within_stacks():
    tx = gx.let(
        "fast",
        gx.scale_by_ema(0.5),
        gx.chain(gx.scale_by_ema(0.9), gx.parallel(jnp.add, gx.identity(), gx.use("fast"))),
    )
    close(train(bucketed(tx))[0], train(tx)[0])
    inside = gx.let(
        "fast",
        gx.scale_by_ema(0.5),
        bucketed(gx.chain(gx.scale_by_ema(0.9), gx.parallel(jnp.add, gx.identity(), gx.use("fast")))),
    )
    close(train(inside)[0], train(tx)[0])


def test_a_factor_is_left_to_the_stacks():
    # Before them it would be a kernel for each array.
    params = [jnp.ones(16) for _ in range(100)]

    def fusions(tx):
        def step(params, state, grads):
            updates, state = tx.update(grads, state, params)
            return gx.apply_updates(params, updates), state

        text = jax.jit(step).lower(params, jax.eval_shape(tx.init, params), params).compile().as_text()
        return text[text.index("ENTRY") :].count(" fusion(")

    clip, tx = gx.clip_by_global_norm(1.0), bucketed(gx.adam(0.1))
    assert fusions(gx.chain(clip, tx)) - fusions(tx) < 100
    wanted = train(gx.chain(clip, gx.adam(0.1)))[0]
    close(train(gx.chain(clip, tx))[0], wanted)
    close(train(gx.chain(clip, bucketed(gx.adam(gx.schedules.linear(0.1, 0.1, 9)))))[0], wanted)


@pytest.mark.slow
def test_it_composes():
    tx = gx.adamw(gx.schedules.linear(0.1, 0.0, 10))
    wanted = train(tx)[0]
    close(train(gx.chain(gx.clip_by_global_norm(1e6), bucketed(tx)))[0], wanted)
    close(train(gx.accumulate_gradients(bucketed(tx), 1))[0], wanted)
    close(train(gx.inject(bucketed(tx)))[0], wanted)
    by_size = gx.partition({"a": bucketed(tx), "b": tx}, lambda p: jax.tree.map(lambda x: "ab"[x.ndim > 1], p))
    close(train(by_size)[0], wanted)
    stored = gx.store(gx.adam(0.1), gx.codecs.bfloat16)
    close(train(bucketed(stored))[0], train(stored)[0])
    assert "bfloat16" in str(jax.tree.map(lambda x: x.dtype, bucketed(stored).init(small(0))))


def test_the_state_is_saved_and_moved():
    tx = bucketed(gx.adam(0.1))
    _, state = train(tx)
    saved = gx.state_dict(tx, state)
    close(gx.load_state_dict(tx, small(0), saved), state, rtol=0)
    assert eval(repr(tx), {**vars(gx), "schedules": gx.schedules}) == tx
    assert gx.from_config(gx.to_config(tx)) == tx


@pytest.mark.parametrize("rows", [1, 2, 3, 9, 10, 50])
def test_the_rows_of_a_stack(rows):
    # The block is divided by a number that is 1; neither infinities nor NaN nor what is tiny may notice.
    special = jnp.asarray([jnp.inf, -jnp.inf, jnp.nan, 1e-38, -0.0])
    stack = jnp.arange(rows * 5, dtype=jnp.float32).reshape(rows, 5).at[0].set(special).at[rows // 2].set(special)
    for x, y in zip(jax.jit(_rows)(stack), stack, strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(jnp.signbit(x), jnp.signbit(y))


def test_there_are_few_kernels():
    # Twice the root of the number of rows, where slices one by one are as many kernels as rows.
    params = [jnp.ones(16) for _ in range(100)]
    tx = bucketed(gx.adam(0.1))

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return gx.apply_updates(params, updates), state

    text = jax.jit(step, donate_argnums=(0, 1)).lower(params, tx.init(params), params).compile().as_text()
    starts = {line.split("slice={")[1].split("}")[0] for line in text.split("\n") if "slice={" in line}
    assert 10 <= len(starts) <= 24


def test_arrays_that_are_spread_stay_as_they_are():
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    params = [jax.device_put(jnp.ones(8), place) for place in (spread, spread, whole, whole)]
    ((momentum, *_),) = bucketed(gx.sgd(0.1, 0.9)).init(params)
    assert {name: x.shape for name, x in momentum.stacks.items()} == {"float32[8]": (2, 8)}
    assert {path: x.sharding for path, x in momentum.others.items()} == {"0": spread, "1": spread}


def test_bad_input():
    with pytest.raises(gx.GradtxTypeError, match=r"each array independently, got clip_by_global_norm.*outside"):
        bucketed(gx.clip_by_global_norm(1.0)).init(small(0))
    with pytest.raises(gx.GradtxValueError, match="max_size: expected a positive whole number, got 0"):
        gx.bucketed(gx.adam(0.1), max_size=0).init(small(0))
    with pytest.raises(gx.GradtxValueError, match="min_count: expected a positive whole number, got 0"):
        gx.bucketed(gx.adam(0.1), min_count=0).init(small(0))
    tx = bucketed(gx.adam(0.1))
    with pytest.raises(gx.GradtxValueError, match="expected the state of"):
        tx.update(small(0), gx.adam(0.1).init(small(0)), small(0))
    params = {name: jnp.ones(3) for name in "abc"}
    with pytest.raises(gx.GradtxValueError, match=r"expected 3 small arrays float32\[3\], got 1"):
        tx.update({"a": jnp.ones(3)}, tx.init(params), {"a": jnp.ones(3)})
    more = {**params, "d": jnp.ones(4), "e": jnp.ones(())}
    with pytest.raises(gx.GradtxValueError, match=r"the state has no slot for d \(4,\), e \(\)"):
        tx.update(more, tx.init(params), more)
    with pytest.raises(gx.GradtxValueError, match=r"only the state has large"):
        tx.update(params, tx.init({**params, "large": jnp.ones((100, 100))}), params)
    with pytest.raises(gx.GradtxValueError, match="expected the parameters, got None"):
        bucketed(gx.adamw(0.1)).update(small(0), bucketed(gx.adamw(0.1)).init(small(0)))

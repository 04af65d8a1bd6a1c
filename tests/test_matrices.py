"""What is read as a matrix, and by which axes: stacks, convolutions, heads, fused outputs, blocks."""

import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx

RANDOM = np.random.default_rng(0)
EXACT = gx.orthogonalize(method="svd")


def _array(*shape):
    return jnp.asarray(RANDOM.standard_normal(shape), jnp.float32)


def _out(tx, g):
    return tx.update(g, tx.init(g), g)[0]


def _polar(x):
    u, _, v = np.linalg.svd(np.asarray(x, float), full_matrices=False)
    return u @ v


@pytest.mark.parametrize("tx", [EXACT, gx.orthogonalize(9), gx.chain(gx.scale_by_row_ema(0.5), gx.orthogonalize(9))])
def test_a_stack_is_its_layers(tx):
    g = _array(3, 2, 5, 4)
    whole = _out(gx.as_matrices(tx), {"w": g})["w"]
    for i, j in np.ndindex(3, 2):
        np.testing.assert_allclose(whole[i, j], _out(tx, {"w": g[i, j]})["w"], atol=2e-5)
    layers = gx.over_layers(gx.as_matrices(tx))
    np.testing.assert_allclose(_out(layers, {"w": g})["w"], whole, atol=2e-5)


def test_axes_of_convolutions_weights_and_heads():
    conv = _array(3, 3, 4, 8)
    rule = gx.matrix(inputs=(-4, -3, -2), outputs=-1)
    np.testing.assert_allclose(
        _out(gx.as_matrices(EXACT, rule), conv), _polar(conv.reshape(36, 8)).reshape(conv.shape), atol=1e-5
    )
    transposed = gx.matrix(inputs=(-3, -2, -1), outputs=-4)  # the same kernel as PyTorch has it
    np.testing.assert_allclose(
        _out(gx.as_matrices(EXACT, transposed), jnp.transpose(conv, (3, 0, 1, 2))),
        jnp.transpose(_out(gx.as_matrices(EXACT, rule), conv), (3, 0, 1, 2)),
        atol=1e-5,
    )
    query = _array(6, 2, 3)
    per_head = _out(gx.as_matrices(EXACT, gx.matrix(-3, -1)), query)
    for head in range(2):
        np.testing.assert_allclose(per_head[:, head], _polar(query[:, head]), atol=1e-5)


def test_an_output_is_an_output_whichever_way_it_is_stored():
    """Shape factors and averages of outputs follow the declared axes."""
    kernel = _array(4, 16)
    tx = gx.chain(gx.orthogonalize(9), gx.scale_by_row_ema(0.5), gx.scale_by_shape("original"))
    ours = _out(gx.as_matrices(tx), kernel)
    theirs = _out(gx.as_matrices(tx, gx.matrix(-1, -2)), kernel.T)
    np.testing.assert_allclose(theirs.T, ours, atol=1e-5)
    np.testing.assert_allclose(_out(gx.scale_by_shape("original"), kernel), 2.0 * kernel, rtol=1e-6)
    np.testing.assert_allclose(_out(gx.scale_by_shape("spectral"), kernel.T), 0.5 * kernel.T, rtol=1e-6)
    np.testing.assert_allclose(_out(gx.scale_by_shape(), kernel), 0.8 * kernel, rtol=1e-6)


def test_fused_outputs_and_blocks_are_separate_matrices():
    fused = _array(6, 12)
    cut = _out(gx.as_matrices(EXACT, gx.matrix(split=(6, 4, 2))), fused)
    for part in (slice(0, 6), slice(6, 10), slice(10, 12)):
        np.testing.assert_allclose(cut[:, part], _polar(fused[:, part]), atol=1e-5)
    blocks = _out(gx.as_matrices(EXACT, gx.matrix(block=5)), fused)
    for rows in (slice(0, 5), slice(5, 6)):
        for columns in (slice(0, 5), slice(5, 10), slice(10, 12)):
            np.testing.assert_allclose(blocks[rows, columns], _polar(fused[rows, columns]), atol=1e-5)


def test_names_and_parameters_are_read_in_the_same_way():
    g, p = {"w": _array(8, 5)}, {"w": _array(8, 5)}
    transposed = gx.as_matrices(
        gx.let("g", gx.identity(), gx.chain(gx.scale_by_trust_ratio(), gx.add(gx.identity(), gx.use("g")))),
        gx.matrix(-1, -2, block=3),
    )
    (out, _), state = transposed.update(g, transposed.init(p), p), transposed.init(p)
    jitted, _ = jax.jit(transposed.update)(g, state, p)
    np.testing.assert_allclose(out["w"], jitted["w"], rtol=1e-5)
    block = (slice(0, 3), slice(0, 3))
    ratio = np.linalg.norm(p["w"][block]) / np.linalg.norm(g["w"][block])
    np.testing.assert_allclose(out["w"][block], (ratio + 1) * np.asarray(g["w"][block]), rtol=1e-5)


@pytest.mark.parametrize(
    "tx",
    [
        gx.normalize_by_block_norm(),
        gx.clip_by_block_norm(0.5),
        gx.clip_by_block_rms(0.1),
        gx.scale_by_trust_ratio(),
        gx.scale_by_param_norm(),
        gx.scale_by_param_rms(),
        gx.project_sphere(),
        gx.keep_norm(gx.sign()),
        gx.scale_by_dual_norm(gx.sign()),
    ],
    ids=lambda tx: tx.factory_name,
)
def test_within_matrices_an_array_is_one_matrix(tx):
    g, p = _array(2, 3, 4), _array(2, 3, 4)
    whole = gx.as_matrices(tx)
    out = whole.update(g, whole.init(p), p)[0]
    for layer in range(2):
        np.testing.assert_allclose(
            out[layer], tx.update(g[layer], tx.init(p[layer]), p[layer])[0], rtol=2e-5, atol=1e-6
        )


class _Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Embed(7, 8, name="embed")(x)
        x = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(2, name="attention")(x, x)
        return nn.Dense(7, name="head")(nn.Dense(16)(x))


def _taken(params):
    return {path: what for path, _, what in gx.summary(gx.muon(1e-3), params).leaves}


def test_names_of_flax():
    taken = _taken(_Block().init(jax.random.key(0), jnp.zeros((1, 3), int))["params"])
    assert taken["Dense_0/kernel"] == "8 inputs, 16 outputs"
    assert taken["attention/query/kernel"] == "2 of 8 inputs, 4 outputs"
    assert taken["attention/out/kernel"] == "8 inputs, 8 outputs"
    rest = {path for path, what in taken.items() if what == "not a matrix"}
    assert {"embed/embedding", "head/kernel", "LayerNorm_0/scale", "Dense_0/bias", "attention/query/bias"} <= rest


def test_names_of_haiku():
    def forward(x):
        x = hk.Conv2D(6, 3, name="conv")(x)
        return hk.Linear(5)(hk.LayerNorm(-1, True, True)(x).reshape(x.shape[0], -1))

    taken = _taken(hk.transform(forward).init(jax.random.key(0), jnp.zeros((1, 2, 2, 4))))
    assert taken["conv/w"] == "36 inputs, 6 outputs"
    assert taken["linear/w"] == "24 inputs, 5 outputs"
    assert {path for path, what in taken.items() if what == "not a matrix"} == {
        "conv/b",
        "linear/b",
        "layer_norm/scale",
        "layer_norm/offset",
    }


def test_names_of_equinox():
    eqx = pytest.importorskip("equinox")
    keys = jax.random.split(jax.random.key(0), 2)
    model = [eqx.nn.Linear(3, 5, key=keys[0]), eqx.nn.LayerNorm(5), eqx.nn.Conv2d(3, 6, 2, key=keys[1])]
    taken = _taken(eqx.filter({"layers": model[:1], "norm": model[1], "conv": model[2]}, eqx.is_inexact_array))
    assert taken["layers/0/weight"] == "3 inputs, 5 outputs"
    assert taken["conv/weight"] == "12 inputs, 6 outputs"
    assert taken["norm/weight"] == "not a matrix"


def test_layers_that_are_stacked_and_what_is_no_matrix():
    stacked = {
        "mlp": {"kernel": _array(4, 6, 8), "bias": _array(4, 8)},
        "LayerNorm": {"scale": _array(4, 8)},
        "norm": {"weight": _array(4, 8)},
        "conv": {"kernel": _array(3, 3, 1, 8)},
        "attention": {"query": {"kernel": _array(4, 8, 2, 3)}, "out": {"kernel": _array(4, 2, 3, 8)}},
        "plain": {"query": {"kernel": _array(4, 8, 6)}, "out": {"kernel": _array(4, 6, 8)}},
        "critic": {"value": {"kernel": _array(4, 8, 1)}},
    }
    taken = _taken(stacked)
    assert taken == {
        "mlp/kernel": "4 of 6 inputs, 8 outputs",
        "mlp/bias": "not a matrix",
        "LayerNorm/scale": "not a matrix",
        "norm/weight": "not a matrix",
        "conv/kernel": "not a matrix",
        "attention/query/kernel": "8 of 8 inputs, 3 outputs",
        "attention/out/kernel": "4 of 6 inputs, 8 outputs",
        "plain/query/kernel": "4 of 8 inputs, 6 outputs",
        "plain/out/kernel": "4 of 6 inputs, 8 outputs",
        "critic/value/kernel": "4 of 8 inputs, 1 outputs",
    }


def test_it_does_not_guess():
    params = {"wq": _array(4, 2, 3)}
    message = r"the leaf 'wq' of the shape \(4, 2, 3\) is one matrix \(8 inputs, 3 outputs\) or several \(4 of 2 inputs"
    for tx in (gx.muon(0.1), gx.orthogonalize()):
        with pytest.raises(gx.GradtxValueError, match=message):
            tx.init(params)
    for axes, what in (
        (gx.by_path({"wq": gx.matrix((-3, -2))}), "8 inputs, 3 outputs"),
        (gx.by_path({"wq": gx.matrix(-3, -1)}), "2 of 4 inputs, 3 outputs"),
        ({"wq": gx.matrix()}, "4 of 2 inputs, 3 outputs"),
    ):
        assert gx.summary(gx.muon(0.1, axes=axes), params).leaves[0][2] == what
    assert gx.summary(gx.muon(0.1, axes={"wq": "rest"}), params).leaves == ()
    with pytest.raises(gx.GradtxValueError, match="is one matrix"):
        gx.muon(0.1).init({"attention": {"query": {"kernel": _array(4, 8, 2)}}})  # heads, or stacked layers?


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: gx.orthogonalize().init(p["vector"]), "is not a matrix; give it to another transform"),
        (lambda p: gx.as_matrices(gx.orthogonalize(), gx.matrix((-4, -3, -2))).init(p), "does not have the axes of"),
        (lambda p: gx.as_matrices(gx.orthogonalize(), gx.matrix(split=(2, 2))).init(p["w"]), "split=.* are 4"),
        (lambda p: gx.as_matrices(gx.orthogonalize(), {"vector": "rest", "w": gx.matrix()}).init(p), "not a matrix by"),
        (lambda p: gx.as_matrices(gx.orthogonalize(), {"vector": 3, "w": gx.matrix()}).init(p), "expected matrix"),
        (lambda p: gx.matrix(0, 1), "expected a negative axis"),
        (lambda p: gx.matrix(-1, -1), "named twice"),
        (lambda p: gx.matrix("in"), "expected whole numbers"),
        (lambda p: gx.matrix(block=0), "block: expected a positive whole number"),
        (lambda p: gx.scale_by_shape("mup"), "rule: expected one of"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(gx.GradtxError, match=message):
        make({"w": _array(4, 6), "vector": _array(3)})


def test_size_zero_and_none_pass_by():
    params = {"w": _array(3, 2), "empty": jnp.zeros((0, 4)), "none": None}
    for tx in (gx.orthogonalize(), gx.as_matrices(gx.scale_by_row_ema(0.5)), gx.muon(0.1), gx.normuon(0.1)):
        out = jax.jit(lambda g, tx=tx: _out(tx, g))(params)
        assert out["empty"].shape == (0, 4)
        assert out["none"] is None
    only = {"b": jnp.ones(3)}  # no leaf is a matrix
    np.testing.assert_allclose(_out(gx.muon(0.1), only)["b"], -0.1, rtol=1e-5)


def test_the_bytes_that_are_stored():
    params = {"w": jax.ShapeDtypeStruct((256, 1024), jnp.float32)}
    per = {tx.factory_name: gx.summary(tx, params).nbytes / 2**18 for tx in (gx.muon(0.1), gx.normuon(0.1))}
    assert per["muon"] - 4 < 1e-4
    assert abs(per["normuon"] - (4 + 4 / 256)) < 1e-4


def test_another_optimizer_for_the_rest():
    params = {"w": _array(3, 2), "b": _array(2)}
    tx = gx.muon(0.1, rest=gx.sgd(0.5))
    np.testing.assert_allclose(_out(tx, params)["b"], -0.5 * params["b"], rtol=1e-6)
    assert tx == gx.from_config(gx.to_config(tx))
    assert eval(repr(tx), vars(gx)) == tx


def test_the_constructor_for_one_matrix():
    mean = gx.matrixwise(lambda g, s: (g - s, 0.5 * s + 0.5 * jnp.mean(g)), lambda p: jnp.zeros(()))
    g = _array(2, 3, 4)
    tx = gx.as_matrices(mean)
    state = tx.init(g)
    assert state["inner"].shape == (2,)
    (_, state), second = tx.update(g, state), g
    out, _ = jax.jit(tx.update)(second, state)
    np.testing.assert_allclose(out, g - 0.5 * g.mean((1, 2), keepdims=True), rtol=1e-5)
    with pytest.raises(gx.GradtxTypeError, match="step is called as step"):
        gx.matrixwise(lambda: 0)
    with pytest.raises(gx.GradtxValueError, match="step must keep the shape"):
        _out(gx.matrixwise(jnp.sum), _array(2, 2))
    with pytest.raises(gx.GradtxTypeError, match=r"expected \(update, state\)"):
        _out(gx.matrixwise(lambda g, s: g, lambda p: p), _array(2, 2))

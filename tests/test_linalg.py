"""Functions of matrices: tables, bands, scales, precisions, and what is no matrix of full rank."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import linalg
from gradtx._linalg.polar import CUSHION

POLAR_EXPRESS = [
    (8.287212, -23.595887, 17.300387),
    (4.107059, -2.947850, 0.544843),
    (3.948691, -2.908902, 0.551819),
    (3.318420, -2.488488, 0.510049),
    (2.300652, -1.668904, 0.418807),
]
CANS = [
    (8.4703, -25.1081, 18.6293),
    (4.1828, -3.1087, 0.5806),
    (3.9619, -2.9541, 0.5630),
    (3.2866, -2.4647, 0.5074),
    (2.2737, -1.6447, 0.4162),
]
G1 = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
EXACT = [{"method": "svd"}, {"method": "qdwh"}]


def _matrix(m, n, condition, seed=0):
    """A matrix with singular values from 1 to 1 / condition, evenly spaced in their logarithms."""
    random = np.random.default_rng(seed)
    u, _, v = np.linalg.svd(random.standard_normal((m, n)), full_matrices=False)
    return (u * np.logspace(0, -np.log10(condition), min(m, n))) @ v


def _singular_values(x):
    return np.linalg.svd(np.asarray(x, np.complex128), compute_uv=False)


def test_the_published_tables():
    express = linalg.minimax_polynomials(5, 1e-3, 0.02407327424182761)
    np.testing.assert_allclose(express.coefficients, POLAR_EXPRESS, atol=5e-7)
    np.testing.assert_allclose(linalg.minimax_polynomials(5, 1e-3).coefficients, CANS, atol=5e-5)


@pytest.mark.parametrize(
    ("steps", "cushion", "band"),
    [
        (5, 0.0, (0.886552, 1.113448)),
        (5, 0.02407327424182761, (0.876441, 1.123559)),
        (6, 0.02407327424182761, (0.9988, 1.0012)),
        (7, 0.02407327424182761, (1.0, 1.0)),
    ],
)
def test_the_bands(steps, cushion, band):
    table = linalg.minimax_polynomials(steps, 1e-3, cushion)
    np.testing.assert_allclose(table.band, band, atol=2e-5)
    x = np.geomspace(1e-3, 1.0, 20001)
    for a, b, c in table.coefficients:
        x = a * x + b * x**3 + c * x**5
    np.testing.assert_allclose((x.min(), x.max()), table.band, atol=1e-6)


def test_any_number_of_steps_and_any_lowest():
    for lowest in (1e-8, 1e-2, 0.5, 1.0):
        widths = [np.ptp(linalg.minimax_polynomials(steps, lowest).band) for steps in (1, 3, 6, 12, 20)]
        assert all(a >= b - 1e-12 for a, b in itertools.pairwise(widths))
    assert np.ptp(linalg.minimax_polynomials(20, 1e-8).band) < 1e-12


@pytest.mark.parametrize("steps", [5, 6, 8])
@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1.0, 1e25, 1e30])
def test_singular_values_are_in_the_band_at_every_scale(steps, scale):
    g = _matrix(48, 80, 100.0)
    low, high = linalg.minimax_polynomials(steps, 1e-3, CUSHION).band
    s = _singular_values(linalg.polar(jnp.asarray(g * scale, jnp.float32), steps))
    assert low - 2e-6 <= s.min()
    assert s.max() <= high + 2e-6


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_stays_near_the_band(precision):
    g = jnp.asarray(_matrix(48, 80, 100.0), jnp.float32)
    low, high = linalg.minimax_polynomials(5, 1e-3, CUSHION).band
    for scale in (1e-30, 1.0, 1e30):
        s = _singular_values(linalg.polar(g * scale, 5, precision=precision))
        assert low - 0.015 <= s.min()
        assert s.max() <= high + 0.015
    equal = _singular_values(linalg.polar(jnp.asarray(_matrix(32, 64, 1.0), jnp.float32), 5, precision=precision))
    assert equal.max() < 1.15


@pytest.mark.parametrize("exact", EXACT)
@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6])
def test_the_exact_methods(exact, condition):
    s = _singular_values(linalg.polar(jnp.asarray(_matrix(40, 24, condition), jnp.float32), **exact))
    assert np.max(np.abs(s - 1)) < 3e-6


@pytest.mark.parametrize("arguments", [{}, {"steps": 5, "method": "keller"}, *EXACT])
def test_zero_stays_zero_and_nan_stays_nan(arguments):
    g = jnp.asarray(_matrix(4, 6, 3.0), jnp.float32)
    assert not linalg.polar(0 * g, **arguments).any()
    if arguments.get("method") != "qdwh":
        assert jnp.isnan(linalg.polar(g.at[1, 1].set(jnp.nan), **arguments)).any()
    both = linalg.polar(jnp.stack([g, 0 * g]), **arguments)
    np.testing.assert_allclose(both[0], linalg.polar(g, **arguments), atol=1e-6)
    assert not both[1].any()
    assert linalg.polar(jnp.zeros((0, 5)), **arguments).shape == (0, 5)


def test_it_is_invariant_to_powers_of_two_to_the_bit():
    g = jnp.asarray(_matrix(8, 5, 10.0), jnp.float32)
    for power in (-90, -7, 40, 100):
        np.testing.assert_array_equal(linalg.polar(g * 2.0**power), linalg.polar(g))


@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (5, 9), (9, 5)])
def test_it_is_equivariant_and_odd(shape):
    with jax.enable_x64(True):
        random = np.random.default_rng(1)
        g = jnp.asarray(random.standard_normal(shape))
        u, v = (jnp.asarray(np.linalg.qr(random.standard_normal((n, n)))[0]) for n in shape)
        out = linalg.polar(g, 6)
        np.testing.assert_allclose(linalg.polar(u @ g @ v, 6), u @ out @ v, atol=1e-12)
        np.testing.assert_allclose(linalg.polar(g.T, 6), out.T, atol=1e-12)
        np.testing.assert_allclose(linalg.polar(-g, 6), -out, atol=1e-15)


def test_complex_matrices():
    random = np.random.default_rng(2)
    g = random.standard_normal((6, 4)) + 1j * random.standard_normal((6, 4))
    u, _, v = np.linalg.svd(g, full_matrices=False)
    for arguments in ({"steps": 9}, *EXACT):
        np.testing.assert_allclose(linalg.polar(jnp.asarray(g, jnp.complex64), **arguments), u @ v, atol=3e-6)


def test_known_numbers():
    with jax.enable_x64(True):
        exact = [[-0.577791827, 0.115116695, 0.808025217], [0.706746021, 0.565757439, 0.424768857]]
        np.testing.assert_allclose(linalg.polar(jnp.asarray(G1), method="svd"), exact, atol=1e-9)
        keller = [[-0.568290092, 0.057741943, 0.683773979], [0.563354684, 0.405612824, 0.247870963]]
        np.testing.assert_allclose(linalg.polar(jnp.asarray(G1), 5, method="keller"), keller, atol=1e-9)
        np.testing.assert_allclose(linalg.polar(jnp.asarray(G1), 30, method="cubic"), exact, atol=1e-9)


def test_a_rank_that_is_not_full():
    g = jnp.asarray(np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 0.5, 2.0]), jnp.float32)
    unit = g / jnp.linalg.norm(g)
    for arguments in ({}, {"method": "svd"}):
        np.testing.assert_allclose(linalg.polar(g, **arguments), unit, atol=2e-6)


@pytest.mark.parametrize("arguments", [{}, {"method": "svd"}])
def test_derivatives_are_finite_for_zero_and_equal_singular_values(arguments):
    slope = jax.grad(lambda g: jnp.sum(linalg.polar(g, **arguments) ** 3))
    for g in (jnp.zeros((3, 3)), jnp.eye(3), jnp.ones((3, 2))):
        assert jnp.all(jnp.isfinite(slope(g)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "newton"}, "method: expected 'polynomials', 'keller'"),
        ({"method": ((1.0, 2.0, 3.0),)}, "the table has 1 rows, and steps is 5; say steps=1"),
        ({"method": ((1.0, 2.0),) * 5}, "method: expected 'polynomials'"),
        ({"lowest": 0.0}, "lowest: expected a number above 0 and at most 1"),
        ({"steps": 0}, "steps: expected a positive whole number"),
        ({"precision": "float8"}, "precision: expected None or one of float32"),
    ],
)
def test_bad_arguments_are_found_when_it_is_made(arguments, message):
    with pytest.raises(gx.GradtxValueError, match=message):
        gx.orthogonalize(**arguments)


def test_a_table_of_ones_own():
    rows = linalg.minimax_polynomials(6, 1e-2).coefficients
    g = {"w": jnp.asarray(G1, jnp.float32)}
    tx = gx.orthogonalize(6, method=rows)
    np.testing.assert_allclose(_singular_values(tx.update(g, tx.init(g))[0]["w"]), 1.0, atol=1e-4)
    assert gx.from_config(gx.to_config(tx)) == tx

"""Signals and surfaces are what their formulas say, and minima are where they are said to be."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx.problems import signals, surfaces

SIGNALS = pytest.mark.parametrize("make", signals.ALL.values(), ids=list(signals.ALL))
SURFACES = pytest.mark.parametrize("surface", surfaces.ALL.values(), ids=list(surfaces.ALL))


@SIGNALS
def test_signals_are_seeded_arrays(make):
    signal = make()
    assert (signal.shape, signal.dtype) == ((300,), jnp.float32)
    assert not signal.weak_type
    assert jnp.array_equal(signal, make(300, seed=0))
    assert not jnp.array_equal(signal, make(seed=1))
    assert make(steps=37).shape == (37,)
    assert 0.5 < jnp.abs(signal).max() < 4.5


@SIGNALS
def test_a_signal_without_steps(make):
    assert make(1).shape == (1,)
    with pytest.raises(gx.GradtxValueError, match="expected at least one step, got steps=0"):
        make(0)


def test_pulses_and_spikes_are_where_they_should_be():
    t = np.arange(300)
    spikes, rectangles = np.asarray(signals.spikes()), np.asarray(signals.rectangles())
    assert np.array_equal(spikes != 0, t % 25 == 12)
    assert np.array_equal(rectangles != 0, t % 60 >= 30)
    for heights in (spikes[spikes != 0], rectangles[30::60]):
        assert np.all((np.abs(heights) >= 0.3) & (np.abs(heights) <= 1))
        assert len(set(heights)) == len(heights)
        assert len(set(np.sign(heights))) == 2
    assert np.all(rectangles.reshape(5, 2, 30) == rectangles.reshape(5, 2, 30)[:, :, :1])


@pytest.mark.parametrize(("make", "noise"), [(signals.noisy_sine, 0.15), (signals.very_noisy_sine, 1.0)])
def test_noisy_waves(make, noise):
    rest = make(5000, seed=3) - np.sin(2 * np.pi * np.arange(5000) / 100).astype(np.float32)
    assert abs(float(rest.mean())) < 0.05 * noise
    assert float(rest.std()) == pytest.approx(noise, rel=0.05)


def test_teeth_rise_straight_and_fall_to_zero():
    signal = np.asarray(signals.uneven_sawtooth(2000))
    starts = np.flatnonzero(signal == 0)
    lengths = np.diff(starts)
    assert starts[0] == 0
    assert lengths.min() >= 15
    assert lengths.max() <= 60
    assert len(set(lengths)) > 10
    for start, length in zip(starts, lengths, strict=False):
        rise = signal[start + 1] * length
        assert 0.299 < rise < 1.001
        np.testing.assert_allclose(signal[start : start + length], rise * np.arange(length) / length, rtol=1e-5)


def test_saturation_stays_at_one():
    signal = np.asarray(signals.saturation(2000))
    assert abs(signal[0]) < 0.15
    assert signal[400:].mean() == pytest.approx(1, abs=0.01)
    assert signal[400:].std() == pytest.approx(0.03, rel=0.1)


TOKEN = re.compile(r"\|\w\||\d+(?:\.\d+)?|exp|sin|sqrt|[xy]|[-+*/()²³]")


def _evaluated(formula, x, y):
    """The formula with the products that it leaves out."""
    tokens = TOKEN.findall(formula)
    assert "".join(tokens) == formula.replace(" ", ""), "there is something else in it"
    text = ""
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        text += {"²": "**2", "³": "**3", "|x|": "abs(x)"}.get(token, token)
        ends, begins = re.match(r"[\d|xy)²³]", token[-1]), re.match(r"[\d|a-z(]", following)
        text += "*" if ends and begins else ""
    return eval(text, {"exp": np.exp, "sin": np.sin, "sqrt": np.sqrt, "x": x, "y": y})


@SURFACES
def test_formulas_are_those_of_the_functions(surface):
    x, y = (np.random.default_rng(0).uniform(*side, 50) for side in surface.domain)
    with jax.enable_x64(True):
        np.testing.assert_allclose(surface(x, y), _evaluated(surface.formula, x, y), rtol=1e-9)


@SURFACES
def test_minima_are_minima(surface):
    (x0, x1), (y0, y1) = surface.domain
    x, y = np.meshgrid(np.linspace(x0, x1, 801), np.linspace(y0, y1, 801))
    with jax.enable_x64(True):
        lowest = float(surface(x, y).min())
        minima = jnp.asarray(surface.minima)
        slopes, curvatures = jax.jit(jax.vmap(lambda p: (jax.grad(surface)(p), jax.hessian(surface)(p))))(minima)
        for slope, curvature in zip(slopes, curvatures, strict=True):
            steps = np.linalg.solve(curvature, slope)
            assert np.abs(steps).max() < 1e-5, "the gradient vanishes elsewhere"
        assert np.all(surface(minima) <= lowest + 1e-9)


@SURFACES
def test_gradients_are_finite_everywhere(surface):
    (x0, x1), (y0, y1) = surface.domain
    points = jnp.stack(jnp.meshgrid(jnp.linspace(x0, x1, 65), jnp.linspace(y0, y1, 65)), -1).reshape(-1, 2)
    corners = jnp.concatenate([points, jnp.asarray([[0.0, 0.0], [0.0, 1.0], [100.0, -100.0]])])
    heights, slopes = jax.jit(jax.vmap(jax.value_and_grad(surface)))(corners)
    assert jnp.isfinite(heights).all()
    assert jnp.isfinite(slopes).all()
    assert jnp.abs(slopes).max() > 0


@SURFACES
def test_starts_are_away_from_the_minimum_and_in_the_domain(surface):
    assert all(low < p < high for p, (low, high) in zip(surface.start, surface.domain, strict=True))
    assert 1 < surface.distance(surface.start) < 6
    assert surface.steps >= 125


def test_a_surface_takes_points_and_coordinates():
    points = jnp.asarray([[[1.0, 2.0], [3.0, -1.0]]])
    assert jnp.array_equal(surfaces.himmelblau(points), surfaces.himmelblau(points[..., 0], points[..., 1]))
    assert surfaces.himmelblau(points).shape == (1, 2)
    assert surfaces.himmelblau(3, 2) == 0
    assert surfaces.himmelblau.function is not surfaces.beale.function
    assert hash(surfaces.beale) != hash(surfaces.himmelblau)
    assert "function" not in repr(surfaces.beale)


def test_the_distance_is_to_the_nearest_minimum():
    himmelblau = surfaces.himmelblau
    points = jnp.asarray(himmelblau.minima) + jnp.asarray([[0.3, 0.4]])
    np.testing.assert_allclose(himmelblau.distance(points), 0.5, rtol=1e-6)
    assert himmelblau.distance(points[2]).shape == ()


def test_a_surface_without_a_minimum():
    saddle = surfaces.Surface("saddle", "x² - y²", lambda x, y: x**2 - y**2, ((-1, 1), (-1, 1)), None, (0.5, 0.5))
    message = r"expected a surface with a minimum, got 'saddle' without one; .*replace\(surface, minimum=\(x, y\)\)"
    with pytest.raises(gx.GradtxValueError, match=message):
        saddle.distance(jnp.zeros(2))
    assert dataclasses.replace(saddle, minimum=(0.0, 0.0)).distance(jnp.asarray([0.6, 0.8])) == 1

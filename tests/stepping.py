"""Steps of a transform, one by one, as several test files take them."""

import jax
import jax.numpy as jnp
import numpy as np

import gradtx as gx


def gradients_like(params, steps, dtype=jnp.float32):
    """Gradients for as many steps, drawn from a normal distribution."""
    random = np.random.default_rng(0)
    return [jax.tree.map(lambda p: jnp.asarray(random.standard_normal(p.shape), dtype), params) for _ in range(steps)]


def run(tx, gradients, params, **extra):
    """Updates and states of each step, compiled once; lists among the extras are one for each step."""
    step = jax.jit(lambda g, state, extra: tx.update(g, state, params, **extra))
    state, out, states = tx.init(params), [], []
    for index, g in enumerate(gradients):
        now = {name: x[index] if isinstance(x, list) else x for name, x in extra.items()}
        u, state = step(g, state, now)
        out.append(u)
        states.append(state)
    return out, states


def check_a_skipped_step(steps, inner, gradients, bad=jnp.nan, gate=gx.skip_nonfinite):
    """A step that a gate leaves out leaves no trace.

    Args:
        steps: `(tx, gradients) -> (updates, states)`.
        inner: the transform inside.
        gradients: of three steps, of which the second is spoilt.
        bad: what it is spoilt with.
        gate: around the transform.
    """
    first, second, third = gradients
    spoilt = {**second, "a": second["a"].at[1, 0].set(bad)}
    out, states = steps(gate(inner), [first, spoilt, third])
    assert [bool(state.skipped) for state in states] == [False, True, False]
    assert not any(np.any(x) for x in jax.tree.leaves(out[1]))
    jax.tree.map(np.testing.assert_array_equal, states[1].inner, states[0].inner)
    expected, expected_states = steps(inner, [first, third])
    close([out[0], out[2]], expected)
    close(states[2].inner, expected_states[1])


def check_a_window(steps, inner, gradients):
    """Two windows of two gradients are two steps of their means; in between nothing moves. `steps` as above."""
    out, states = steps(gx.accumulate_gradients(inner, 2), gradients)
    assert not any(np.any(x) for x in jax.tree.leaves([out[0], out[2]]))
    means = [jax.tree.map(lambda x, y: x / 2 + y / 2, *gradients[i : i + 2]) for i in (0, 2)]
    expected, expected_states = steps(inner, means)
    close([out[1], out[3]], expected)
    close(states[3].inner, expected_states[1])
    jax.tree.map(np.testing.assert_array_equal, states[2].inner, states[1].inner)


def close(got, expected, rtol=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-7), got, expected)

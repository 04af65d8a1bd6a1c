"""Gradient transformations of the user's own (NamedTuple state, init and update) in chains with the library's parts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class ScaleByAgreementState(NamedTuple):
    count: jax.Array
    mu: optax.Updates
    nu: optax.Updates


def scale_by_agreement(b1: float = 0.9, b2: float = 0.99, eps: float = 1e-8) -> optax.GradientTransformation:
    def init_fn(params: optax.Params) -> ScaleByAgreementState:
        mu = optax.tree_utils.tree_zeros_like(params)
        nu = optax.tree_utils.tree_zeros_like(params)
        return ScaleByAgreementState(count=jnp.zeros([], jnp.int32), mu=mu, nu=nu)

    def update_fn(updates, state, params=None):
        del params
        mu = optax.tree_utils.tree_update_moment(updates, state.mu, b1, 1)
        nu = optax.tree_utils.tree_update_moment_per_elem_norm(updates, state.nu, b2, 2)
        count = optax.safe_int32_increment(state.count)
        mu_hat = optax.tree_utils.tree_bias_correction(mu, b1, count)
        nu_hat = optax.tree_utils.tree_bias_correction(nu, b2, count)
        updates = jax.tree_util.tree_map(
            lambda g, m, v: jnp.where(g * m > 0, 1.0, 0.5) * m / (jnp.sqrt(v) + eps), updates, mu_hat, nu_hat
        )
        return updates, ScaleByAgreementState(count, mu, nu)

    return optax.GradientTransformation(init_fn, update_fn)


def decay_towards(anchor: optax.Params, strength: float) -> optax.GradientTransformation:
    def init_fn(params):
        del params
        return optax.EmptyState()

    def update_fn(updates, state, params):
        if params is None:
            raise ValueError("decay_towards needs params")
        pull = optax.tree_utils.tree_sub(params, anchor)
        return optax.tree_utils.tree_add(updates, optax.tree_utils.tree_scale(strength, pull)), state

    return optax.GradientTransformation(init_fn, update_fn)


def scale_by_loss() -> optax.GradientTransformationExtraArgs:
    def update_fn(updates, state, params=None, *, loss, **extra_args):
        del params, extra_args
        return optax.tree_utils.tree_scale(jnp.minimum(1.0, jnp.sqrt(loss)), updates), state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update_fn)


def main() -> list[float]:
    rng = np.random.default_rng(58)
    x = rng.normal(size=(24, 3)).astype(np.float32)
    y = (x[:, 0] - x[:, 1] * x[:, 2]).astype(np.float32)
    params = {
        "w": jnp.asarray(rng.normal(size=(3, 8)), jnp.float32),
        "v": jnp.asarray(0.2 * rng.normal(size=8), jnp.float32),
    }
    optimizer = optax.chain(
        optax.stateless(lambda updates, params: jax.tree.map(jnp.nan_to_num, updates)),
        scale_by_agreement(b1=0.8),
        decay_towards(params, 0.05),
        optax.stateless_with_tree_map(lambda g, p: g / (1.0 + 0.01 * jnp.abs(p))),
        scale_by_loss(),
        optax.with_extra_args_support(optax.identity()),
        optax.scale_by_learning_rate(3e-2),
    )

    def loss_fn(params):
        return optax.l2_loss(jnp.tanh(x @ params["w"]) @ params["v"], y).mean()

    @jax.jit
    def step(params, opt_state):
        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params, loss=loss)
        return optax.apply_updates(params, updates), opt_state, loss

    opt_state = optimizer.init(params)
    results = []
    for _ in range(20):
        params, opt_state, loss = step(params, opt_state)
        results.append(float(loss))
    own = opt_state[1]
    results += [float(own.count), float(optax.tree_utils.tree_norm(own.mu)), float(optax.tree_utils.tree_sum(own.nu))]
    return results

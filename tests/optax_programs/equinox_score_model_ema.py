"""A score-based diffusion model in Equinox, sampled from an exponential moving average of its parameters."""

import functools as ft

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax


class ScoreNet(eqx.Module):
    mlp: eqx.nn.MLP
    t1: float

    def __init__(self, t1, *, key):
        self.t1 = t1
        self.mlp = eqx.nn.MLP(3, 2, 16, 2, activation=jax.nn.silu, key=key)

    def __call__(self, t, y):
        return self.mlp(jnp.concatenate([y, t[None] / self.t1]))


def int_beta(t):
    return t


def single_loss_fn(model, data, t, key):
    mean = data * jnp.exp(-0.5 * int_beta(t))
    var = jnp.maximum(1 - jnp.exp(-int_beta(t)), 1e-2)
    std = jnp.sqrt(var)
    noise = jr.normal(key, data.shape)
    pred = model(t, mean + std * noise)
    return (1 - jnp.exp(-t)) * jnp.mean((pred + noise / std) ** 2)


def batch_loss_fn(model, data, t1, key):
    tkey, losskey = jr.split(key)
    losskeys = jr.split(losskey, data.shape[0])
    t = jr.uniform(tkey, (data.shape[0],), minval=0.05, maxval=t1)
    return jnp.mean(jax.vmap(ft.partial(single_loss_fn, model))(data, t, losskeys))


def make_step(opt_update):
    @eqx.filter_jit
    def step(model, ema, data, key, opt_state):
        key, subkey = jr.split(key)
        loss, grads = eqx.filter_value_and_grad(batch_loss_fn)(model, data, 5.0, subkey)
        updates, opt_state = opt_update(grads, opt_state)
        model = eqx.apply_updates(model, updates)
        params = eqx.filter(model, eqx.is_inexact_array)
        ema = optax.incremental_update(params, ema, step_size=1 - 0.8)
        return loss, model, ema, key, opt_state

    return step


def main() -> list[float]:
    rng = np.random.default_rng(7)
    modes = np.array([[1.0, 1.0], [-1.0, 0.5]])
    data = (modes[rng.integers(0, 2, size=32)] + 0.1 * rng.normal(size=(32, 2))).astype(np.float32)

    model = eqx.filter_jit(ScoreNet)(5.0, key=jr.PRNGKey(7))
    opt = optax.adam(3e-3)
    # The float t1 among the fields is no parameter: only arrays get a state.
    params = eqx.filter(model, eqx.is_inexact_array)
    opt_state = opt.init(params)
    step = make_step(opt.update)
    ema, key, losses = params, jr.PRNGKey(8), []
    for _ in range(15):
        loss, model, ema, key, opt_state = step(model, ema, data, key, opt_state)
        losses.append(float(loss))

    averaged = eqx.combine(ema, eqx.filter(model, eqx.is_inexact_array, inverse=True))
    evaluate = eqx.filter_jit(batch_loss_fn)
    losses.append(float(evaluate(model, data, 5.0, jr.PRNGKey(9))))
    losses.append(float(evaluate(averaged, data, 5.0, jr.PRNGKey(9))))
    return losses

"""Gradient accumulation three ways: MultiSteps as an object, as a transformation in a TrainState, and by a schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState


def apply_fn(params, x):
    return jnp.tanh(x @ params["w1"]) @ params["w2"]


def loss_fn(params, x, y):
    return optax.huber_loss(apply_fn(params, x)[:, 0], y, delta=1.0).mean()


def k_by_schedule(gradient_step):
    return jnp.where(gradient_step < 3, 1, 3)


def main() -> list[float]:
    rng = np.random.default_rng(46)
    x = rng.normal(size=(12, 8, 4)).astype(np.float32)
    y = (2 * np.sin(x.sum(axis=-1))).astype(np.float32)
    params = {
        "w1": jnp.asarray(0.5 * rng.normal(size=(4, 10)), jnp.float32),
        "w2": jnp.asarray(0.5 * rng.normal(size=(10, 1)), jnp.float32),
    }

    # 1. The object: its update, and has_updated to know when to log.
    ms = optax.MultiSteps(optax.adam(3e-2), every_k_schedule=4)
    opt_state = ms.init(params)

    @jax.jit
    def step(params, opt_state, x, y):
        loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
        updates, opt_state = ms.update(grads, opt_state, params=params)
        return optax.apply_updates(params, updates), opt_state, loss, ms.has_updated(opt_state)

    results, trained = [], params
    for xs, ys in zip(x, y, strict=True):
        trained, opt_state, loss, updated = step(trained, opt_state, xs, ys)
        results += [float(loss), float(updated)]
    results += [float(opt_state.mini_step), float(opt_state.gradient_step), float(opt_state.inner_opt_state[0].count)]

    # 2. The transformation, for what asks for init and update.
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.MultiSteps(optax.sgd(0.3, momentum=0.9), 2, use_grad_mean=False).gradient_transformation(),
    )
    state = TrainState.create(apply_fn=apply_fn, params=params, tx=tx)

    # 3. The number of steps by a schedule, and steps with values that are not finite left out.
    scheduled = optax.MultiSteps(
        optax.rmsprop(1e-2), every_k_schedule=k_by_schedule, should_skip_update_fn=optax.skip_not_finite
    )

    @jax.jit
    def both_steps(state, params, opt_state, x, y):
        loss, grads = jax.value_and_grad(loss_fn)(state.params, x, y)
        state = state.apply_gradients(grads=grads)
        other_loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
        updates, opt_state = scheduled.update(grads, opt_state, params)
        return state, optax.apply_updates(params, updates), opt_state, loss, other_loss

    trained, opt_state = params, scheduled.init(params)
    for i, (xs, ys) in enumerate(zip(x, y, strict=True)):
        ys = ys * np.float32(np.nan) if i == 5 else ys
        if i == 5:
            kept = state
        state, trained, opt_state, loss, other_loss = both_steps(state, trained, opt_state, xs, ys)
        if i == 5:
            state = kept
        else:
            results += [float(loss), float(other_loss)]
    results += [float(opt_state.gradient_step), float(opt_state.mini_step)]
    return results

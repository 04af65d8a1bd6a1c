"""A neural ODE in Equinox, unrolled by Heun steps and trained by AdaBelief on growing parts of the trajectory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax


class VectorField(eqx.Module):
    out_scale: jax.Array
    mlp: eqx.nn.MLP

    def __init__(self, key):
        self.out_scale = jnp.array(0.5)
        self.mlp = eqx.nn.MLP(2, 2, 12, 1, activation=jax.nn.softplus, final_activation=jnp.tanh, key=key)

    def __call__(self, y):
        return self.out_scale * self.mlp(y)


def odeint(field, y0, ts):
    def step(y, dt):
        k1 = field(y)
        y = y + 0.5 * dt * (k1 + field(y + dt * k1))
        return y, y

    _, ys = jax.lax.scan(step, y0, jnp.diff(ts))
    return jnp.concatenate([y0[None], ys])


def main() -> list[float]:
    ts = np.linspace(0.0, 2.0, 9, dtype=np.float32)
    angle = np.random.default_rng(64).uniform(0, 2 * np.pi, size=8)
    phase = angle[:, None] + ts[None]
    ys = (np.exp(-0.2 * ts)[None, :, None] * np.stack([np.cos(phase), np.sin(phase)], axis=-1)).astype(np.float32)

    model = eqx.filter_jit(VectorField)(jax.random.PRNGKey(64))
    # The length of the trajectory is a mask, so that one compiled step does for both phases.
    optims = [(3e-3, 0.3, 8), (6e-3, 1.0, 8)]

    @eqx.filter_value_and_grad
    def grad_loss(model, ys, mask):
        pred = jax.vmap(odeint, in_axes=(None, 0, None))(model, ys[:, 0], ts)
        return jnp.sum(jnp.mean((ys - pred) ** 2, axis=(0, 2)) * mask) / jnp.sum(mask)

    optim = optax.inject_hyperparams(optax.adabelief)(learning_rate=1.0, eps=1e-8)

    @eqx.filter_jit
    def make_step(model, opt_state, ys, mask):
        loss, grads = grad_loss(model, ys, mask)
        updates, opt_state = optim.update(grads, opt_state, eqx.filter(model, eqx.is_inexact_array))
        return eqx.apply_updates(model, updates), opt_state, loss

    losses = []
    for learning_rate, length, steps in optims:
        opt_state = optim.init(eqx.filter(model, eqx.is_inexact_array))
        opt_state.hyperparams["learning_rate"] = jnp.asarray(learning_rate, jnp.float32)
        mask = (np.arange(9) < 9 * length).astype(np.float32)
        for _ in range(steps):
            model, opt_state, loss = make_step(model, opt_state, ys, mask)
            losses.append(float(loss))
    return losses

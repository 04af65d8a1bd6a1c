"""A sweep over rates and decays in one compiled program: jax.vmap over states of inject_hyperparams."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(62)
    x = rng.normal(size=(32, 4)).astype(np.float32)
    y = (x[:, 0] ** 2 - x[:, 1]).astype(np.float32)
    params = {
        "w": jnp.asarray(0.5 * rng.normal(size=(4, 8)), jnp.float32),
        "v": jnp.asarray(0.5 * rng.normal(size=8), jnp.float32),
    }
    rates = jnp.array([0.003, 0.01, 0.03, 0.1])
    decays = jnp.array([0.0, 0.01])

    @optax.inject_hyperparams
    def make_optimizer(learning_rate, weight_decay):
        return optax.chain(
            optax.clip_by_global_norm(5.0),
            optax.scale_by_adam(),
            optax.add_decayed_weights(weight_decay),
            optax.scale_by_learning_rate(learning_rate),
        )

    optimizer = make_optimizer(learning_rate=0.0, weight_decay=0.0)

    def init(rate, decay):
        state = optimizer.init(params)
        state.hyperparams["learning_rate"] = rate
        state.hyperparams["weight_decay"] = decay
        return params, state

    def loss_fn(params):
        return optax.l2_loss(jax.nn.softplus(x @ params["w"]) @ params["v"], y).mean()

    def step(carry, _):
        params, opt_state = carry
        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    @jax.jit
    def sweep(rates, decays):
        def train(rate, decay):
            carry, losses = jax.lax.scan(step, init(rate, decay), length=10)
            return losses, carry[1].hyperparams["learning_rate"]

        return jax.vmap(jax.vmap(train, in_axes=(None, 0)), in_axes=(0, None))(rates, decays)

    losses, used = sweep(rates, decays)
    best = jnp.argmin(losses[..., -1].reshape(-1))
    return [*losses.reshape(-1).tolist(), *used.reshape(-1).tolist(), float(best)]

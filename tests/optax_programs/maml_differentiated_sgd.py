"""Model-agnostic meta-learning on sine waves: the outer gradient goes through the updates of an inner momentum SGD."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def net(params, x):
    h = jnp.tanh(x @ params["w0"] + params["b0"][None, :])
    return h @ params["w1"] + params["b1"][None, :]


def mse(params, x, y):
    return jnp.mean((net(params, x) - y) ** 2)


def sample_tasks(rng, num_tasks):
    amplitude = rng.uniform(0.5, 2.0, size=(num_tasks, 1, 1))
    phase = rng.uniform(0, np.pi, size=(num_tasks, 1, 1))
    x = rng.uniform(-3, 3, size=(num_tasks, 16, 1))
    y = amplitude * np.sin(x + phase)
    x, y = x.astype(np.float32), y.astype(np.float32)
    return (x[:, :8], y[:, :8]), (x[:, 8:], y[:, 8:])


def main() -> list[float]:
    rng = np.random.default_rng(40)
    meta_params = {
        "net": {
            "w0": jnp.asarray(rng.normal(size=(1, 16)), jnp.float32),
            "b0": jnp.asarray(rng.normal(size=16), jnp.float32),
            "w1": jnp.asarray(rng.normal(size=(16, 1)) / 4, jnp.float32),
            "b1": jnp.zeros(1, jnp.float32),
        },
        "log_lr": jnp.asarray(-3.5, jnp.float32),
    }
    meta_opt = optax.adam(optax.exponential_decay(2e-2, transition_steps=5, decay_rate=0.9))

    def adapted_loss(meta_params, support, query):
        # The rate of the inner optimizer is itself learned, so it is an array that is differentiated.
        inner_opt = optax.sgd(learning_rate=jnp.exp(meta_params["log_lr"]), momentum=0.5)

        def inner_step(carry, _):
            params, state = carry
            grads = jax.grad(mse)(params, *support)
            updates, state = inner_opt.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), None

        params = meta_params["net"]
        (params, _), _ = jax.lax.scan(inner_step, (params, inner_opt.init(params)), None, length=3)
        return mse(params, *query)

    def meta_loss(meta_params, support, query):
        return jnp.mean(jax.vmap(adapted_loss, in_axes=(None, 0, 0))(meta_params, support, query))

    @jax.jit
    def meta_step(meta_params, opt_state, support, query):
        loss, grads = jax.value_and_grad(meta_loss)(meta_params, support, query)
        updates, opt_state = meta_opt.update(grads, opt_state)
        return optax.apply_updates(meta_params, updates), opt_state, loss

    opt_state = meta_opt.init(meta_params)
    results = []
    for _ in range(12):
        meta_params, opt_state, loss = meta_step(meta_params, opt_state, *sample_tasks(rng, 4))
        results += [float(loss), float(jnp.exp(meta_params["log_lr"]))]
    return results

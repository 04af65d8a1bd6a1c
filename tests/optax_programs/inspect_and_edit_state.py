"""A training loop that reads and edits the optimizer state: counts, moments, tree_get, tree_set and injected rates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def loss_fn(params, x, y):
    logits = x @ params["w"] + params["b"]
    return optax.sigmoid_binary_cross_entropy(logits, y).mean()


def main() -> list[float]:
    rng = np.random.default_rng(47)
    x = rng.normal(size=(32, 5)).astype(np.float32)
    y = (x @ rng.normal(size=5) > 0).astype(np.float32)
    params = {"w": jnp.zeros(5), "b": jnp.zeros(())}
    results = []

    # Plain Adam: the first element of the state has count, mu and nu.
    optimizer = optax.adam(0.1, b1=0.8)
    injected = optax.chain(
        optax.clip(0.3),
        optax.inject_hyperparams(optax.adamw, static_args=("b1", "b2"))(learning_rate=0.05, weight_decay=1e-3, b1=0.9),
    )

    @jax.jit
    def step(params, opt_state, other_params, other_state):
        loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
        updates, opt_state = optimizer.update(grads, opt_state)
        params = optax.apply_updates(params, updates)
        other_loss, grads = jax.value_and_grad(loss_fn)(other_params, x, y)
        updates, other_state = injected.update(grads, other_state, other_params)
        return params, opt_state, optax.apply_updates(other_params, updates), other_state, loss, other_loss

    opt_state, other_params, other_state = optimizer.init(params), params, injected.init(params)
    for i in range(16):
        params, opt_state, other_params, other_state, loss, other_loss = step(
            params, opt_state, other_params, other_state
        )
        results += [float(loss), float(other_loss)]
        if i == 4:
            other_state[1].hyperparams["learning_rate"] = jnp.asarray(0.2, jnp.float32)
        if i == 8:
            other_state = optax.tree_utils.tree_set(other_state, learning_rate=jnp.asarray(0.01, jnp.float32))
        if i == 10:
            # The moments are forgotten and the count begins again; the parameters stay.
            fresh = opt_state[0]._replace(
                count=jnp.zeros([], jnp.int32), mu=jax.tree.map(jnp.zeros_like, opt_state[0].mu)
            )
            opt_state = (fresh, *opt_state[1:])

    adam_state = opt_state[0]
    assert isinstance(adam_state, optax.ScaleByAdamState)
    results += [float(adam_state.count), float(adam_state.mu["b"]), *np.asarray(adam_state.nu["w"]).tolist()]
    results.append(float(optax.tree_utils.tree_get(other_state, "learning_rate")))
    results.append(float(optax.tree_utils.tree_get(opt_state, "count")))
    results.append(float(optax.tree_utils.tree_get(opt_state, "no_such_field", default=-1.0)))
    nu = optax.tree_utils.tree_get(other_state, "nu")
    results.append(float(jnp.sum(nu["w"])))
    counts = optax.tree_utils.tree_get_all_with_path(other_state, "count")
    results += [float(count) for _, count in counts]
    return results

"""Population-based training: of a vmapped population the best gives its state and a changed rate to the worst."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

POPULATION = 4


def main() -> list[float]:
    rng = np.random.default_rng(88)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    y = (np.sin(2 * x[:, 0]) * x[:, 1]).astype(np.float32)
    members = {
        "w": jnp.asarray(rng.normal(size=(POPULATION, 3, 10)), jnp.float32),
        "v": jnp.asarray(0.3 * rng.normal(size=(POPULATION, 10)), jnp.float32),
    }
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=1e-2, b1=0.9)
    opt_states = jax.vmap(optimizer.init)(members)
    opt_states.hyperparams["learning_rate"] = jnp.array([1e-3, 3e-3, 1e-2, 3e-2])

    def loss_fn(params, x, y):
        return optax.l2_loss(jnp.tanh(x @ params["w"]) @ params["v"], y).mean()

    @jax.jit
    @jax.vmap
    def train(params, opt_state):
        def step(carry, _):
            params, opt_state = carry
            loss, grads = jax.value_and_grad(loss_fn)(params, x[:30], y[:30])
            updates, opt_state = optimizer.update(grads, opt_state)
            return (optax.apply_updates(params, updates), opt_state), loss

        (params, opt_state), losses = jax.lax.scan(step, (params, opt_state), length=5)
        return params, opt_state, losses[-1], loss_fn(params, x[30:], y[30:])

    results = []
    for generation in range(4):
        members, opt_states, losses, scores = train(members, opt_states)
        results += [*losses.tolist(), *scores.tolist()]
        ranking = np.argsort(np.asarray(losses))
        source = np.arange(POPULATION)
        source[ranking[-1]] = ranking[0]
        members, opt_states = jax.tree.map(lambda leaf: leaf[source], (members, opt_states))
        factor = np.ones(POPULATION, np.float32)
        factor[ranking[-1]] = 1.2 if generation % 2 else 0.8
        rates = optax.tree_utils.tree_get(opt_states, "learning_rate") * factor
        opt_states = optax.tree_utils.tree_set(opt_states, learning_rate=rates)
        results += rates.tolist()
    return [*results, *opt_states.count.astype(jnp.float32).tolist()]

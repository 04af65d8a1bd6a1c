"""Low-rank adapters: masked Adam for the adapters, masked set_to_zero for the base weights, masked weight decay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def init_params(rng):
    def layer(m, n):
        return {
            "kernel": jnp.asarray(rng.normal(size=(m, n)) / np.sqrt(m), jnp.float32),
            "bias": jnp.zeros(n, jnp.float32),
            "lora_a": jnp.asarray(rng.normal(size=(m, 2)) / np.sqrt(m), jnp.float32),
            "lora_b": jnp.zeros((2, n), jnp.float32),
        }

    return {"layer_0": layer(5, 8), "layer_1": layer(8, 1)}


def apply(params, x):
    for i, name in enumerate(sorted(params)):
        p = params[name]
        x = x @ (p["kernel"] + p["lora_a"] @ p["lora_b"]) + p["bias"][None, :]
        x = jnp.tanh(x) if i == 0 else x
    return x[:, 0]


def lora_mask(params):
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key.startswith("lora"), params)


def create_optimizer(learning_rate: optax.ScalarOrSchedule, weight_decay: float) -> optax.GradientTransformation:
    frozen = lambda params: jax.tree_util.tree_map(lambda trainable: not trainable, lora_mask(params))
    only_b = lambda params: jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "lora_b", params)
    return optax.chain(
        optax.masked(optax.clip_by_global_norm(1.0), lora_mask),
        optax.masked(optax.scale_by_adam(b1=0.9, b2=0.98), lora_mask),
        optax.masked(optax.add_decayed_weights(weight_decay), only_b),
        optax.scale_by_learning_rate(learning_rate),
        optax.masked(optax.set_to_zero(), frozen),
    )


def main() -> list[float]:
    rng = np.random.default_rng(42)
    params = init_params(rng)
    x = rng.normal(size=(32, 5)).astype(np.float32)
    y = np.tanh(x @ rng.normal(size=5)).astype(np.float32)
    tx = create_optimizer(optax.warmup_constant_schedule(0.0, 3e-2, warmup_steps=4), 0.1)
    opt_state = tx.init(params)

    @jax.jit
    def step(params, opt_state):
        loss, grads = jax.value_and_grad(lambda p: optax.l2_loss(apply(p, x), y).mean())(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    start = params
    losses = []
    for _ in range(20):
        params, opt_state, loss = step(params, opt_state)
        losses.append(float(loss))
    assert np.array_equal(start["layer_0"]["kernel"], params["layer_0"]["kernel"])
    mu = opt_state[1].inner_state.mu
    assert isinstance(mu["layer_0"]["kernel"], optax.MaskedNode)
    state_leaves = jax.tree_util.tree_leaves(mu)
    return [*losses, float(sum(leaf.size for leaf in state_leaves)), float(jnp.abs(mu["layer_1"]["lora_b"]).sum())]

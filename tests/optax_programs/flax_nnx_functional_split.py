"""Flax NNX in functional style: split the module, keep params and opt_state as pytrees, and update with a chain."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx


class Block(nnx.Module):
    def __init__(self, features: int, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(features, rngs=rngs)
        self.linear = nnx.Linear(features, features, rngs=rngs)

    def __call__(self, x):
        return x + nnx.tanh(self.linear(self.norm(x)))


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.embed = nnx.Linear(3, 8, rngs=rngs)
        self.block = Block(8, rngs=rngs)
        self.head = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x):
        return self.head(self.block(self.embed(x)))


def main() -> list[float]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(24, 3)).astype(np.float32)
    y = (np.linalg.norm(x, axis=1) > 1.6).astype(np.int32)

    graphdef, params = nnx.split(Net(nnx.Rngs(3)), nnx.Param)
    tx = optax.chain(
        optax.clip(1.0),
        optax.add_decayed_weights(1e-4, mask=lambda tree: jax.tree.map(lambda p: p.ndim >= 2, tree)),
        optax.adam(optax.linear_schedule(3e-2, 3e-3, 20), eps_root=1e-12),
    )
    opt_state = tx.init(params)

    def loss_fn(params):
        logits = nnx.merge(graphdef, params)(x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    @jax.jit
    def step(params, opt_state):
        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss, optax.tree.norm(updates)

    results = []
    for _ in range(15):
        params, opt_state, loss, norm = step(params, opt_state)
        results += [float(loss), float(norm)]
    model = nnx.merge(graphdef, params)
    results.append(float(jnp.mean((jnp.argmax(model(x), -1) == y).astype(jnp.float32))))
    return results

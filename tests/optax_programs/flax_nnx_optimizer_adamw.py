"""A regression network in Flax NNX, trained by nnx.Optimizer over AdamW."""

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx


class MLP(nnx.Module):
    def __init__(self, din: int, dmid: int, dout: int, *, rngs: nnx.Rngs):
        self.linear1 = nnx.Linear(din, dmid, rngs=rngs)
        self.linear2 = nnx.Linear(dmid, dout, rngs=rngs)

    def __call__(self, x):
        return self.linear2(nnx.gelu(self.linear1(x)))


def loss_fn(model: MLP, x, y):
    return jnp.mean(optax.squared_error(model(x), y))


@nnx.jit
def train_step(model: MLP, optimizer: nnx.Optimizer, x, y):
    loss, grads = nnx.value_and_grad(loss_fn)(model, x, y)
    optimizer.update(model, grads)
    return loss


def main() -> list[float]:
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, size=(32, 2)).astype(np.float32)
    y = np.sin(3 * x[:, :1]) * x[:, 1:]

    model = MLP(2, 16, 1, rngs=nnx.Rngs(0))
    learning_rate, momentum = 0.02, 0.9
    optimizer = nnx.Optimizer(model, optax.adamw(learning_rate, momentum, weight_decay=1e-3), wrt=nnx.Param)
    losses = [float(train_step(model, optimizer, x, y)) for _ in range(20)]
    count = optimizer.opt_state[0].count
    return [*losses, float(count[...]), float(optimizer.step[...])]

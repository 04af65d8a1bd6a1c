"""Flax NNX with one optimizer for weights over MultiSteps and another for scales, each by its type of variable."""

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx


class Scale(nnx.Variable):
    pass


class Model(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.inner = nnx.Linear(3, 8, rngs=rngs)
        self.outer = nnx.Linear(8, 1, use_bias=False, rngs=rngs)
        self.scale = Scale(jnp.ones(()))

    def __call__(self, x):
        return self.scale[...] * self.outer(jnp.tanh(self.inner(x)))[:, 0]


@nnx.jit
def train_step(model, weights_optimizer, scale_optimizer, x, y):
    def loss_fn(model):
        return optax.l2_loss(model(x), y).mean()

    loss, grads = nnx.value_and_grad(loss_fn, argnums=nnx.DiffState(0, nnx.Any(nnx.Param, Scale)))(model)
    weight_grads, scale_grads = nnx.split_state(grads, nnx.Param, Scale)
    weights_optimizer.update(model, weight_grads)
    scale_optimizer.update(model, scale_grads)
    return loss


def main() -> list[float]:
    rng = np.random.default_rng(81)
    x = rng.normal(size=(16, 8, 3)).astype(np.float32)
    y = (3 * np.sin(x.sum(axis=-1))).astype(np.float32)
    model = Model(nnx.Rngs(81))
    accumulated = optax.MultiSteps(optax.adamw(2e-2, weight_decay=1e-3), every_k_schedule=2)
    weights_optimizer = nnx.Optimizer(model, accumulated.gradient_transformation(), wrt=nnx.Param)
    scale_optimizer = nnx.Optimizer(model, optax.sgd(optax.linear_schedule(0.01, 0.002, 16), momentum=0.5), wrt=Scale)
    results = []
    for xs, ys in zip(x, y, strict=True):
        results.append(float(train_step(model, weights_optimizer, scale_optimizer, xs, ys)))
        results.append(float(model.scale[...]))
    multi = weights_optimizer.opt_state
    return [*results, float(multi.gradient_step[...]), float(multi.mini_step[...])]

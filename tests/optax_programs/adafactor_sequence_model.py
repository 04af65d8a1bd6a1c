"""A sequence tagger trained by Adafactor with factored second moments, relative step sizes, and decay for matrices."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState


class Tagger(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        h = nn.Embed(6, 8)(tokens)
        left = jnp.pad(h[:, :-1], ((0, 0), (1, 0), (0, 0)))
        h = nn.gelu(nn.Dense(16, use_bias=True)(jnp.concatenate([h, left], axis=-1)))
        return nn.Dense(3)(h)


def rsqrt_schedule(init_value: float, shift: int = 0) -> optax.Schedule:
    def schedule(count):
        return init_value * (count + shift) ** -0.5 * shift**0.5

    return schedule


def main() -> list[float]:
    rng = np.random.default_rng(54)
    tokens = rng.integers(0, 6, size=(8, 10)).astype(np.int32)
    tags = ((tokens + np.pad(tokens[:, :-1], ((0, 0), (1, 0)))) % 3).astype(np.int32)
    weights = (np.arange(10)[None, :] < rng.integers(5, 11, size=(8, 1))).astype(np.float32)

    model = Tagger()
    params = jax.jit(model.init)(jax.random.key(54), tokens)
    tx = optax.adafactor(
        learning_rate=optax.linear_schedule(5e-2, 1e-2, 20),
        min_dim_size_to_factor=4,
        decay_rate=0.8,
        multiply_by_parameter_scale=True,
        clipping_threshold=1.0,
        momentum=0.9,
        dtype_momentum=jnp.bfloat16,
        weight_decay_rate=1e-3,
        weight_decay_mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
    )
    plain = optax.adafactor(1e-2, multiply_by_parameter_scale=False, factored=False, clipping_threshold=None, eps=1e-20)
    states = [TrainState.create(apply_fn=model.apply, params=params, tx=t) for t in (tx, plain)]

    @jax.jit
    def train_step(state):
        def loss_fn(params):
            logits = state.apply_fn(params, tokens)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, tags)
            return jnp.sum(losses * weights) / jnp.sum(weights)

        loss, grads = jax.value_and_grad(loss_fn)(state.params)
        return state.apply_gradients(grads=grads), loss

    results = []
    for state in states:
        for _ in range(12):
            state, loss = train_step(state)
            results.append(float(loss))
    schedule = rsqrt_schedule(1e-2, shift=100)
    return [*results, float(schedule(0)), float(schedule(300))]

"""A tiny decoder-only transformer on characters: AdamW under warmup and cosine decay, no decay for biases and norms."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training import train_state

TEXT = "the quick brown fox jumps over the lazy dog and the slow red hen naps under the old oak tree. " * 3
VOCAB = sorted(set(TEXT))
TOKENS = np.array([VOCAB.index(c) for c in TEXT], np.int32)
CONTEXT, WIDTH, BATCH, NUM_STEPS, WARMUP = 8, 16, 8, 16, 3


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        h = nn.LayerNorm(use_bias=False)(x)
        qkv = nn.Dense(3 * WIDTH, use_bias=False, name="qkv")(h)
        q, k, v = jnp.split(qkv, 3, axis=-1)
        scores = jnp.einsum("btd,bsd->bts", q, k) / math.sqrt(WIDTH)
        causal = jnp.tril(jnp.ones((1, CONTEXT, CONTEXT), bool))
        x = x + jnp.einsum("bts,bsd->btd", jax.nn.softmax(jnp.where(causal, scores, -1e9)), v)
        h = nn.LayerNorm(use_bias=False)(x)
        return x + nn.Dense(WIDTH, name="down")(nn.gelu(nn.Dense(2 * WIDTH, name="up")(h)))


class Decoder(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        embed = nn.Embed(len(VOCAB), WIDTH, name="embed")
        pos = self.param("pos", nn.initializers.normal(0.02), (1, CONTEXT, WIDTH))
        x = Block()(embed(tokens) + pos)
        return embed.attend(nn.LayerNorm(use_bias=False)(x))


def decay_mask_fn(params):
    return jax.tree_util.tree_map_with_path(
        lambda path, p: p.ndim > 1 and "embed" not in jax.tree_util.keystr(path), params
    )


def get_optimizer() -> optax.GradientTransformation:
    learning_rate_fn = optax.warmup_cosine_decay_schedule(
        init_value=0.0, peak_value=1e-2, warmup_steps=WARMUP, decay_steps=NUM_STEPS, end_value=1e-3
    )
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(
            learning_rate_fn, b1=0.9, b2=0.95, eps=1e-8, weight_decay=0.1, mask=decay_mask_fn, mu_dtype=jnp.float32
        ),
    )


def main() -> list[float]:
    rng = np.random.default_rng(36)
    model = Decoder()
    params = jax.jit(model.init)(jax.random.PRNGKey(36), np.zeros((1, CONTEXT), np.int32))["params"]
    state = train_state.TrainState.create(apply_fn=model.apply, params=params, tx=get_optimizer())

    @jax.jit
    def train_step(state, x, y):
        def loss_fn(params):
            logits = state.apply_fn({"params": params}, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        loss, grads = jax.value_and_grad(loss_fn)(state.params)
        return state.apply_gradients(grads=grads), loss

    losses = []
    for _ in range(NUM_STEPS):
        starts = rng.integers(0, len(TOKENS) - CONTEXT - 1, size=BATCH)
        window = np.stack([TOKENS[s : s + CONTEXT + 1] for s in starts])
        state, loss = train_step(state, window[:, :-1], window[:, 1:])
        losses.append(float(loss))
    return losses

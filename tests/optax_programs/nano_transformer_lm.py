"""A tiny decoder-only transformer on characters: AdamW under warmup and cosine decay, no decay for biases and norms."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

TEXT = "the quick brown fox jumps over the lazy dog and the slow red hen naps under the old oak tree. " * 3
VOCAB = sorted(set(TEXT))
TOKENS = np.array([VOCAB.index(c) for c in TEXT], np.int32)
CONTEXT, WIDTH, BATCH, NUM_STEPS, WARMUP = 8, 16, 8, 16, 3


class TrainState(NamedTuple):
    params: optax.Params
    opt_state: optax.OptState


def init_params(rng):
    def normal(*shape, scale=0.3):
        return jnp.asarray(scale * rng.normal(size=shape), jnp.float32)

    return {
        "embed": normal(len(VOCAB), WIDTH),
        "pos_embed": normal(CONTEXT, WIDTH, scale=0.02),
        "attention": {"norm_scale": jnp.ones(WIDTH), "qkv": normal(WIDTH, 3 * WIDTH), "out": normal(WIDTH, WIDTH)},
        "mlp": {
            "norm_scale": jnp.ones(WIDTH),
            "up": {"kernel": normal(WIDTH, 2 * WIDTH), "bias": jnp.zeros(2 * WIDTH)},
            "down": {"kernel": normal(2 * WIDTH, WIDTH), "bias": jnp.zeros(WIDTH)},
        },
    }


def rms_norm(x, scale):
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-6) * scale[None, None]


def dense(p, x):
    return x @ p["kernel"] + p["bias"][None, None]


def forward(params, tokens):
    x = params["embed"][tokens] + params["pos_embed"][None]
    h = rms_norm(x, params["attention"]["norm_scale"])
    q, k, v = jnp.split(h @ params["attention"]["qkv"], 3, axis=-1)
    scores = jnp.einsum("btd,bsd->bts", q, k) / math.sqrt(WIDTH)
    causal = jnp.tril(jnp.ones((1, CONTEXT, CONTEXT), bool))
    attended = jnp.einsum("bts,bsd->btd", jax.nn.softmax(jnp.where(causal, scores, -1e9)), v)
    x = x + attended @ params["attention"]["out"]
    h = rms_norm(x, params["mlp"]["norm_scale"])
    x = x + dense(params["mlp"]["down"], jax.nn.gelu(dense(params["mlp"]["up"], h)))
    return x @ params["embed"].T


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
    params = init_params(rng)
    tx = get_optimizer()

    @jax.jit
    def train_step(state, x, y):
        def loss_fn(params):
            return optax.softmax_cross_entropy_with_integer_labels(forward(params, x), y).mean()

        loss, grads = jax.value_and_grad(loss_fn)(state.params)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        return TrainState(optax.apply_updates(state.params, updates), opt_state), loss

    state = TrainState(params, jax.jit(tx.init)(params))
    losses = []
    for _ in range(NUM_STEPS):
        starts = rng.integers(0, len(TOKENS) - CONTEXT - 1, size=BATCH)
        window = np.stack([TOKENS[s : s + CONTEXT + 1] for s in starts])
        state, loss = train_step(state, window[:, :-1], window[:, 1:])
        losses.append(float(loss))
    return losses

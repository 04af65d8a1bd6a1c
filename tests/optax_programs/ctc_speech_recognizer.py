"""A small recognizer of sequences with the CTC loss, trained by NovoGrad with a cycle of its rate."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

BATCH, FRAMES, FEATURES, SYMBOLS, LABELS = 4, 10, 5, 4, 3


def main() -> list[float]:
    rng = np.random.default_rng(86)
    labels = rng.integers(1, SYMBOLS, size=(BATCH, LABELS)).astype(np.int32)
    label_paddings = (np.arange(LABELS)[None, :] >= np.array([3, 2, 3, 1])[:, None]).astype(np.float32)
    logit_paddings = (np.arange(FRAMES)[None, :] >= np.array([10, 8, 9, 10])[:, None]).astype(np.float32)
    sounds = rng.normal(size=(SYMBOLS, FEATURES))
    frames = np.repeat(sounds[labels], 3, axis=1)
    frames = np.concatenate([frames, np.zeros((BATCH, 1, FEATURES))], axis=1)
    frames = (frames + 0.1 * rng.normal(size=frames.shape)).astype(np.float32)

    params = {
        "kernel": jnp.asarray(0.4 * rng.normal(size=(FEATURES, 8)), jnp.float32),
        "recurrent": jnp.asarray(0.2 * rng.normal(size=(8, 8)), jnp.float32),
        "head": jnp.asarray(0.4 * rng.normal(size=(8, SYMBOLS)), jnp.float32),
    }
    schedule = optax.cosine_onecycle_schedule(transition_steps=14, peak_value=0.1, pct_start=0.3)
    optimizer = optax.novograd(schedule, b1=0.95, b2=0.98, weight_decay=1e-3)

    def forward(params):
        def cell(h, x):
            h = jnp.tanh(x @ params["kernel"] + h @ params["recurrent"])
            return h, h

        _, hidden = jax.lax.scan(cell, jnp.zeros((BATCH, 8)), frames.transpose(1, 0, 2))
        return hidden.transpose(1, 0, 2) @ params["head"]

    def loss_fn(params):
        return jnp.mean(optax.ctc_loss(forward(params), logit_paddings, labels, label_paddings, blank_id=0))

    @jax.jit
    def step(params, opt_state):
        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    opt_state = optimizer.init(params)
    losses = []
    for _ in range(14):
        params, opt_state, loss = step(params, opt_state)
        losses.append(float(loss))
    return losses

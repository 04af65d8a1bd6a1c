"""Checkpoint and resume with Orbax: parameters, optimizer state and step are saved as one tree and training goes on."""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp


def init_params(seed):
    rng = np.random.default_rng(seed)
    return {
        "w": jnp.asarray(0.4 * rng.normal(size=(4, 6)), jnp.float32),
        "v": jnp.asarray(0.4 * rng.normal(size=(6, 1)), jnp.float32),
    }


def make_optimizer() -> optax.GradientTransformation:
    schedule = optax.warmup_exponential_decay_schedule(
        init_value=0.0, peak_value=5e-2, warmup_steps=4, transition_steps=4, decay_rate=0.8, end_value=1e-3
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.nadamw(schedule, weight_decay=1e-3))


def main() -> list[float]:
    rng = np.random.default_rng(44)
    x = rng.normal(size=(16, 4)).astype(np.float32)
    y = np.sin(x.sum(axis=1)).astype(np.float32)
    optimizer = make_optimizer()

    @jax.jit
    def step(params, opt_state):
        def loss_fn(params):
            return optax.log_cosh((jnp.tanh(x @ params["w"]) @ params["v"])[:, 0], y).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    def train(params, opt_state, steps):
        losses = []
        for _ in range(steps):
            params, opt_state, loss = step(params, opt_state)
            losses.append(float(loss))
        return params, opt_state, losses

    params = init_params(0)
    params, opt_state, losses = train(params, optimizer.init(params), 8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step_8"
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(path, {"params": params, "opt_state": opt_state, "step": 8})
            checkpointer.wait_until_finished()
            blank = init_params(1)
            target = {"params": blank, "opt_state": optimizer.init(blank), "step": 0}
            restored = checkpointer.restore(path, target)
    assert jax.tree.structure(restored["opt_state"]) == jax.tree.structure(opt_state)
    _, _, straight = train(params, opt_state, 8)
    _, _, resumed = train(restored["params"], restored["opt_state"], 8)
    assert straight == resumed
    return [*losses, *resumed, float(restored["step"])]

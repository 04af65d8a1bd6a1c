"""Large-batch training by LARS with masks for biases and by LAMB, under warmup with polynomial or cosine decay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def kernels_only(params):
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def make_lars(base_rate: float, batch_size: int, steps: int) -> optax.GradientTransformation:
    rate = base_rate * batch_size / 256
    schedule = optax.join_schedules(
        [
            optax.polynomial_schedule(init_value=0.0, end_value=rate, power=1, transition_steps=3),
            optax.polynomial_schedule(init_value=rate, end_value=rate * 1e-2, power=2, transition_steps=steps - 3),
        ],
        boundaries=[3],
    )
    return optax.lars(
        learning_rate=schedule,
        weight_decay=1e-4,
        weight_decay_mask=kernels_only,
        trust_coefficient=0.01,
        eps=1e-9,
        trust_ratio_mask=kernels_only,
        momentum=0.9,
        nesterov=True,
    )


def make_lamb(peak: float, steps: int) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(0.0, peak, warmup_steps=3, decay_steps=steps)
    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.lamb(schedule, b2=0.98, eps=1e-6, weight_decay=0.01, mask=kernels_only)
    )


def main() -> list[float]:
    rng = np.random.default_rng(55)
    x = rng.normal(size=(96, 4)).astype(np.float32)
    y = np.argmax(x @ rng.normal(size=(4, 3)), axis=1).astype(np.int32)
    params = {
        "dense": {"kernel": jnp.asarray(0.5 * rng.normal(size=(4, 8)), jnp.float32), "bias": jnp.full(8, 0.01)},
        "logits": {"kernel": jnp.asarray(0.3 * rng.normal(size=(8, 3)), jnp.float32), "bias": jnp.full(3, 0.01)},
    }

    def loss_fn(params):
        hidden = jnp.tanh(x @ params["dense"]["kernel"] + params["dense"]["bias"][None, :])
        logits = hidden @ params["logits"]["kernel"] + params["logits"]["bias"][None, :]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    optimizers = [make_lars(8.0, 96, 20), make_lamb(0.1, 20)]

    @jax.jit
    def step(carry):
        new, losses = [], []
        for optimizer, (params, opt_state) in zip(optimizers, carry, strict=True):
            loss, grads = jax.value_and_grad(loss_fn)(params)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            new.append((optax.apply_updates(params, updates), opt_state))
            losses.append(loss)
        return new, losses

    carry = [(params, optimizer.init(params)) for optimizer in optimizers]
    results = []
    for _ in range(20):
        carry, losses = step(carry)
        results += [float(loss) for loss in losses]
    return results

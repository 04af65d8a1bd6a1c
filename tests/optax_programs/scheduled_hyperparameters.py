"""Schedules for more than the rate: inject_hyperparams with scheduled decay, momentum and clipping, all logged."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


@optax.inject_hyperparams
def clipped_sgd(learning_rate, momentum, clip_at):
    return optax.chain(optax.clip_by_global_norm(clip_at), optax.sgd(learning_rate, momentum=momentum, nesterov=True))


def main() -> list[float]:
    rng = np.random.default_rng(87)
    x = rng.normal(size=(32, 5)).astype(np.float32)
    y = rng.integers(0, 3, size=32).astype(np.int32)
    params = {"w": jnp.asarray(0.1 * rng.normal(size=(5, 3)), jnp.float32), "b": jnp.zeros((1, 3))}

    first = clipped_sgd(
        learning_rate=optax.warmup_cosine_decay_schedule(0.0, 0.5, 3, 12),
        momentum=optax.linear_schedule(0.5, 0.95, 12),
        clip_at=optax.piecewise_constant_schedule(1.0, {5: 0.5}),
    )
    second = optax.inject_hyperparams(optax.adamw, static_args=("mask", "nesterov"), hyperparam_dtype=jnp.float32)(
        learning_rate=1e-1,
        b1=lambda count: (count + 4) / (count + 5),
        weight_decay=optax.exponential_decay(0.2, 4, 0.5),
        mask=lambda params: jax.tree.map(lambda p: p.shape[0] > 1, params),
        nesterov=True,
    )

    def loss_fn(params):
        logits = x @ params["w"] + params["b"]
        soft = optax.smooth_labels(jax.nn.one_hot(y, 3), alpha=0.1)
        return optax.safe_softmax_cross_entropy(logits, soft).mean()

    @jax.jit
    def step(carry):
        new, losses = [], []
        for optimizer, (params, opt_state) in zip((first, second), carry, strict=True):
            loss, grads = jax.value_and_grad(loss_fn)(params)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            new.append((optax.apply_updates(params, updates), opt_state))
            losses.append(loss)
        return new, losses

    carry = [(params, optimizer.init(params)) for optimizer in (first, second)]
    results = []
    for _ in range(12):
        carry, losses = step(carry)
        (_, sgd_state), (_, adam_state) = carry
        results += [float(loss) for loss in losses]
        results += [float(sgd_state.hyperparams[name]) for name in ("learning_rate", "momentum", "clip_at")]
        results += [float(adam_state.hyperparams[name]) for name in ("b1", "weight_decay")]
    return [*results, float(sgd_state.count), float(adam_state.inner_state[0].count)]

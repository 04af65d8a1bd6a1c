"""Schedules called alone, as when they are plotted, and inside of optimizers, by a dictionary of named factories."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

SCHEDULES = {
    "constant": optax.constant_schedule(0.05),
    "piecewise": optax.piecewise_constant_schedule(init_value=0.1, boundaries_and_scales={4: 0.5, 8: 0.2}),
    "staircase": optax.exponential_decay(0.1, transition_steps=3, decay_rate=0.7, transition_begin=2, staircase=True),
    "exponential": optax.exponential_decay(0.1, 4, 0.5, end_value=0.03),
    "joined": optax.join_schedules(
        [optax.linear_schedule(0.0, 0.1, 3), optax.constant_schedule(0.1), optax.cosine_decay_schedule(0.1, 5)], [3, 6]
    ),
    "onecycle": optax.cosine_onecycle_schedule(transition_steps=12, peak_value=0.1, pct_start=0.25, div_factor=10.0),
    "linear_onecycle": optax.linear_onecycle_schedule(12, 0.1, pct_start=0.3, pct_final=0.8, final_div_factor=100.0),
    "restarts": optax.sgdr_schedule(
        [
            {"init_value": 0.0, "peak_value": 0.1, "warmup_steps": 2, "decay_steps": 6, "end_value": 0.01},
            {"init_value": 0.01, "peak_value": 0.05, "warmup_steps": 2, "decay_steps": 6, "end_value": 0.0},
        ]
    ),
    "interpolated": optax.piecewise_interpolate_schedule("cosine", 0.02, {4: 4.0, 10: 0.25}),
    "warmup_exponential": optax.warmup_exponential_decay_schedule(0.0, 0.1, 3, transition_steps=2, decay_rate=0.8),
    "polynomial": optax.polynomial_schedule(0.1, 0.01, power=2, transition_steps=8, transition_begin=1),
    "own": lambda count: 0.1 / (1 + count / 4),
}


def main() -> list[float]:
    rng = np.random.default_rng(59)
    x = rng.normal(size=(16, 3)).astype(np.float32)
    y = (x @ np.array([1.0, -2.0, 0.5])).astype(np.float32)
    optimizers = {name: optax.sgd(schedule, momentum=0.5) for name, schedule in SCHEDULES.items()}

    @jax.jit
    def train(params):
        def step(carry, count):
            new, losses = {}, {}
            for name, (params, opt_state) in carry.items():
                losses[name], grads = jax.value_and_grad(lambda w: jnp.mean((x @ w - y) ** 2))(params)
                updates, opt_state = optimizers[name].update(grads, opt_state, params)
                new[name] = optax.apply_updates(params, updates), opt_state
            rates = {name: jnp.asarray(schedule(count), jnp.float32) for name, schedule in SCHEDULES.items()}
            return new, (losses, rates)

        carry = {name: (params, optimizer.init(params)) for name, optimizer in optimizers.items()}
        return jax.lax.scan(step, carry, jnp.arange(12))[1]

    losses, rates = train(jnp.zeros(3))
    results = []
    for name, schedule in SCHEDULES.items():
        results += losses[name].tolist() + rates[name].tolist()
        results += [float(schedule(step)) for step in (0, 5)]
    return results

"""A comparison of optimizers on a curved valley, each with arguments of its own, as benchmark notebooks plot them."""

import jax
import jax.numpy as jnp
import optax


def valley(params):
    x, y = params["position"]
    return (1.0 - x) ** 2 + 5.0 * (y - x**2) ** 2


OPTIMIZERS = {
    "lion": lambda: optax.lion(1e-2, b1=0.9, b2=0.95, weight_decay=1e-2),
    "novograd": lambda: optax.novograd(5e-2, b1=0.9, b2=0.5, weight_decay=1e-3),
    "adabelief": lambda: optax.adabelief(3e-2, eps=1e-12, eps_root=1e-12),
    "yogi": lambda: optax.yogi(learning_rate=3e-2, eps=1e-2),
    "radam": lambda: optax.radam(5e-2, b2=0.9, threshold=4.0),
    "nadam": lambda: optax.nadam(3e-2),
    "fromage": lambda: optax.fromage(1e-2, min_norm=1e-5),
    "adan": lambda: optax.adan(2e-2, b1=0.98, b2=0.92, b3=0.99, weight_decay=1e-3),
    "sm3": lambda: optax.sm3(5e-2, momentum=0.5),
    "adadelta": lambda: optax.adadelta(learning_rate=1.0, rho=0.9, eps=1e-3),
    "rprop": lambda: optax.rprop(1e-2, eta_minus=0.5, eta_plus=1.2, min_step_size=1e-6, max_step_size=0.1),
    "adamaxw": lambda: optax.adamaxw(2e-2, weight_decay=1e-2),
    "optimistic": lambda: optax.optimistic_gradient_descent(1e-2, alpha=1.0, beta=0.9),
    "signum": lambda: optax.signum(1e-2, beta=0.8),
}


def main() -> list[float]:
    start = {"position": jnp.array([-0.7, 1.1])}
    optimizers = {name: make() for name, make in OPTIMIZERS.items()}

    @jax.jit
    def step(carry):
        new, losses = {}, {}
        for name, (params, opt_state) in carry.items():
            losses[name], grads = jax.value_and_grad(valley)(params)
            updates, opt_state = optimizers[name].update(grads, opt_state, params)
            new[name] = optax.apply_updates(params, updates), opt_state
        return new, losses

    carry = {name: (start, optimizer.init(start)) for name, optimizer in optimizers.items()}
    results = []
    for _ in range(12):
        carry, losses = step(carry)
        results += [float(losses[name]) for name in OPTIMIZERS]
    return results

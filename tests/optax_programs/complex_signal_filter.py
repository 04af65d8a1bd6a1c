"""A complex-valued filter that equalizes a channel: contrib.split_real_and_imaginary, and Adam on complex numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(82)
    symbols = (rng.choice([-1, 1], size=40) + 1j * rng.choice([-1, 1], size=40)).astype(np.complex64)
    received = np.convolve(symbols, [1.0, 0.4 - 0.3j, 0.1j])[:40].astype(np.complex64)
    windows = np.stack([received[i : i + 5] for i in range(36)])
    target = symbols[:36]

    optimizers = [
        optax.contrib.split_real_and_imaginary(optax.adam(5e-2)),
        optax.chain(optax.clip_by_global_norm(2.0), optax.sgd(0.05, momentum=0.8)),
        optax.adam(5e-2, b2=0.99),
    ]

    def loss_fn(taps):
        error = windows @ taps["taps"] - target
        return jnp.mean(error.real**2 + error.imag**2)

    @jax.jit
    def step(carry):
        new, losses = [], []
        for optimizer, (taps, opt_state) in zip(optimizers, carry, strict=True):
            loss, grads = jax.value_and_grad(loss_fn)(taps)
            grads = jax.tree.map(jnp.conj, grads)
            updates, opt_state = optimizer.update(grads, opt_state, taps)
            new.append((optax.apply_updates(taps, updates), opt_state))
            losses.append(loss)
        return new, losses

    taps = {"taps": jnp.asarray(np.array([0.5, 0.1j, 0, 0, 0]), jnp.complex64)}
    carry = [(taps, optimizer.init(taps)) for optimizer in optimizers]
    results = []
    for _ in range(15):
        carry, losses = step(carry)
        results += [float(loss) for loss in losses]
    return results

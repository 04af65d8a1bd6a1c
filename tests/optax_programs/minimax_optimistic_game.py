"""A two-player game: optimistic Adam for one player, the signs turned by scale_gradient or a chain for the other."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def main() -> list[float]:
    rng = np.random.default_rng(83)
    payoff = jnp.asarray(rng.normal(size=(4, 4)), jnp.float32)

    def game(x, y):
        return x @ payoff @ y + 0.1 * jnp.sum(x**2) - 0.1 * jnp.sum(y**2)

    minimizer = optax.optimistic_adam_v2(learning_rate=5e-2, b1=0.5, b2=0.9)
    maximizer = optax.chain(
        optax.scale_by_optimistic_gradient(alpha=1.0, beta=1.0), optax.scale_by_adam(b1=0.5, b2=0.9), optax.scale(5e-2)
    )
    both = optax.optimistic_gradient_descent(0.1, alpha=1.0, beta=1.0)

    @jax.jit
    def play(x, y):
        def step(carry, _):
            (x, y), (x_state, y_state), pair, pair_state = carry
            gx, gy = jax.grad(game, argnums=(0, 1))(x, y)
            x_updates, x_state = minimizer.update(gx, x_state, x)
            y_updates, y_state = maximizer.update(gy, y_state, y)
            x, y = optax.apply_updates((x, y), (x_updates, y_updates))

            def reversed_game(pair):
                return game(pair[0], optax.scale_gradient(pair[1], -1.0))

            updates, pair_state = both.update(jax.grad(reversed_game)(pair), pair_state)
            pair = optax.apply_updates(pair, updates)
            values = jnp.stack([jnp.linalg.norm(v) for v in (x, y, *pair)])
            return ((x, y), (x_state, y_state), pair, pair_state), values

        carry = ((x, y), (minimizer.init(x), maximizer.init(y)), (x, y), both.init((x, y)))
        return jax.lax.scan(step, carry, length=15)[1]

    start = jnp.asarray(rng.normal(size=(2, 4)), jnp.float32)
    return play(*start).reshape(-1).tolist()

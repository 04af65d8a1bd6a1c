"""An adversarial attack and adversarial training: signs of gradients for the input, RMSProp for the parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

EPSILON = 0.3


def main() -> list[float]:
    rng = np.random.default_rng(71)
    x = rng.normal(size=(32, 6)).astype(np.float32)
    y = np.sign(x[:, 0] + x[:, 1]).astype(np.float32)
    params = {
        "w": jnp.asarray(0.5 * rng.normal(size=(6, 8)), jnp.float32),
        "v": jnp.asarray(0.5 * rng.normal(size=8), jnp.float32),
    }
    attack = optax.chain(optax.scale_by_sign(), optax.scale(EPSILON / 2))
    defence = optax.rmsprop(1e-2, decay=0.9, eps=1e-6, momentum=0.5, nesterov=True, bias_correction=True)

    def loss_fn(params, x):
        scores = jnp.tanh(x @ params["w"]) @ params["v"]
        return optax.hinge_loss(scores, y).mean() + 1e-3 * jnp.sum(params["w"] ** 2)

    def perturb(params):
        delta = jnp.zeros_like(x)
        state = attack.init(delta)
        for _ in range(3):
            grads = jax.grad(lambda d: loss_fn(params, x + d))(delta)
            updates, state = attack.update(grads, state, delta)
            delta = optax.projections.projection_box(optax.apply_updates(delta, updates), -EPSILON, EPSILON)
        return delta

    @jax.jit
    def step(params, opt_state):
        adversarial = x + jax.lax.stop_gradient(perturb(params))
        loss, grads = jax.value_and_grad(loss_fn)(params, adversarial)
        updates, opt_state = defence.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss, loss_fn(params, x)

    opt_state = defence.init(params)
    results = []
    for _ in range(14):
        params, opt_state, loss, clean = step(params, opt_state)
        results += [float(loss), float(clean)]
    return results

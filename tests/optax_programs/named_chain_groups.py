"""A named_chain whose states are read by name, and a chain that is built from a list of (name, part) pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def build(parts: list[tuple[str, optax.GradientTransformation]]) -> optax.GradientTransformationExtraArgs:
    return optax.named_chain(*parts)


def main() -> list[float]:
    rng = np.random.default_rng(66)
    x = rng.normal(size=(20, 4)).astype(np.float32)
    y = (x[:, 0] > x[:, 1]).astype(np.float32)
    params = {"w": jnp.asarray(0.1 * rng.normal(size=4), jnp.float32), "b": jnp.zeros(())}

    tx = build(
        [
            ("clip", optax.clip_by_global_norm(0.2)),
            ("momentum", optax.trace(decay=0.9)),
            ("adam", optax.scale_by_adam(b1=0.0, b2=0.9)),
            ("decay", optax.add_decayed_weights(0.01)),
            ("schedule", optax.scale_by_schedule(optax.linear_schedule(-0.2, -0.02, transition_steps=12))),
        ]
    )
    opt_state = tx.init(params)
    assert list(opt_state) == ["clip", "momentum", "adam", "decay", "schedule"]

    @jax.jit
    def step(params, opt_state):
        def loss_fn(params):
            logits = x @ params["w"] + params["b"]
            return optax.sigmoid_focal_loss(logits, y, alpha=0.6, gamma=2.0).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    results = []
    for i in range(16):
        params, opt_state, loss = step(params, opt_state)
        results += [float(loss), float(opt_state["momentum"].trace["b"])]
        if i == 9:
            # A warm restart of the schedule alone.
            restarted = opt_state["schedule"]._replace(count=jnp.zeros([], jnp.int32))
            opt_state = {**opt_state, "schedule": restarted}
    results += [float(opt_state["adam"].count), float(opt_state["schedule"].count)]
    results += opt_state["adam"].nu["w"].tolist()
    return results

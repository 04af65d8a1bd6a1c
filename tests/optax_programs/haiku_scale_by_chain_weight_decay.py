"""A Haiku value network with a chain of parts: clipping, Adam, decayed weights, schedule, and a scale of minus one."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax


def forward(x, is_training):
    h = hk.nets.MLP([16, 16], activation=jax.nn.tanh, activate_final=True)(x)
    h = hk.LayerNorm(axis=-1, create_scale=True, create_offset=True)(h)
    if is_training:
        keep = jax.random.bernoulli(hk.next_rng_key(), 0.9, h.shape)
        h = jnp.where(keep, h / 0.9, 0.0)
    return hk.Linear(1, name="value_head")(h)


def make_optimizer(max_steps: int) -> optax.GradientTransformation:
    def lr_schedule(count):
        warm = jnp.minimum(1.0, (count + 1) / 5)
        return warm * jnp.maximum(0.0, 1.0 - count / max_steps)

    return optax.chain(
        optax.clip_by_global_norm(0.5),
        optax.scale_by_adam(b1=0.9, b2=0.99, eps=1e-6),
        optax.add_decayed_weights(
            weight_decay=1e-2, mask=lambda p: hk.data_structures.map(lambda m, n, v: n == "w", p)
        ),
        optax.scale_by_schedule(lr_schedule),
        optax.scale(-0.02),
    )


def main() -> list[float]:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(32, 4)).astype(np.float32)
    target = np.tanh(x @ rng.normal(size=(4, 1))).astype(np.float32)

    model = hk.transform(forward)
    params = jax.jit(model.init, static_argnums=2)(jax.random.PRNGKey(4), x, False)
    optimizer = make_optimizer(25)
    opt_state = optimizer.init(params)

    def loss_fn(params, key):
        return jnp.mean(optax.l2_loss(model.apply(params, key, x, True), target))

    @jax.jit
    def step(params, opt_state, key):
        loss, grads = jax.value_and_grad(loss_fn)(params, key)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    losses = []
    for key in jax.random.split(jax.random.PRNGKey(5), 25):
        params, opt_state, loss = step(params, opt_state, key)
        losses.append(float(loss))
    adam_state, schedule_state = opt_state[1], opt_state[3]
    assert isinstance(adam_state, optax.ScaleByAdamState)
    return [*losses, float(adam_state.count), float(schedule_state.count)]

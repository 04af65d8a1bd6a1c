"""An IMPALA-like learner: RMSProp with momentum under a polynomial schedule, for clipped importance weights."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax

MAX_FRAMES = 20 * 8 * 4
FRAMES_PER_STEP = 8 * 4


def build_optimizer(init_lr: float) -> optax.GradientTransformation:
    lr_schedule = optax.polynomial_schedule(
        init_value=init_lr, end_value=0.0, power=1.0, transition_steps=MAX_FRAMES // FRAMES_PER_STEP
    )
    return optax.chain(
        optax.clip_by_global_norm(40.0),
        optax.rmsprop(learning_rate=lr_schedule, decay=0.99, eps=0.1, momentum=0.5),
    )


class Net(hk.Module):
    def __call__(self, x):
        torso = hk.nets.MLP([16], activate_final=True, activation=jnp.tanh)
        h = torso(x)
        return hk.Linear(3, name="policy")(h), jnp.squeeze(hk.Linear(1, name="value")(h), -1)


def main() -> list[float]:
    rng = np.random.default_rng(34)
    observations = rng.normal(size=(20, 8, 5, 4)).astype(np.float32)
    actions = rng.integers(0, 3, size=(20, 8, 4)).astype(np.int32)
    rewards = (actions == (observations[:, :, :4, 0] > 0)).astype(np.float32)

    network = hk.without_apply_rng(hk.transform(lambda x: Net()(x)))
    params = jax.jit(network.init)(jax.random.PRNGKey(34), observations[0])
    opt = build_optimizer(2e-2)
    opt_state = opt.init(params)

    def loss_fn(params, obs, action, reward):
        logits, values = network.apply(params, obs)
        logits, values, bootstrap = logits[:, :-1], values[:, :-1], values[:, 1:]
        log_pi = jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], -1)[..., 0]
        rho = jax.lax.stop_gradient(jnp.minimum(1.0, jnp.exp(log_pi) * 3.0))
        td_error = rho * (reward + 0.9 * jax.lax.stop_gradient(bootstrap) - values)
        pg_loss = -jnp.sum(log_pi * jax.lax.stop_gradient(td_error))
        baseline_loss = 0.5 * jnp.sum(jnp.square(td_error))
        pi = jax.nn.softmax(logits)
        entropy_loss = jnp.sum(pi * jax.nn.log_softmax(logits))
        return pg_loss + 0.5 * baseline_loss + 0.01 * entropy_loss

    @jax.jit
    def update(params, opt_state, batch):
        loss, gradients = jax.value_and_grad(loss_fn)(params, *batch)
        updates, opt_state = opt.update(gradients, opt_state)
        logs = {"loss": loss, "grad_norm": optax.tree_utils.tree_norm(gradients)}
        return optax.apply_updates(params, updates), opt_state, logs

    results = []
    for batch in zip(observations, actions, rewards, strict=True):
        params, opt_state, logs = update(params, opt_state, batch)
        results += [float(logs["loss"]), float(logs["grad_norm"])]
    return results

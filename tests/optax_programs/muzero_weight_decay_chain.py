"""A MuZero-like learner with dataclasses of chex: decayed weights before Adam, and gradients halved in the unroll."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax


@chex.dataclass(frozen=True)
class ModelParams:
    representation: chex.ArrayTree
    dynamics: chex.ArrayTree
    prediction: chex.ArrayTree


@chex.dataclass(frozen=True)
class LearnerState:
    params: ModelParams
    target: ModelParams
    opt_state: optax.OptState


def main() -> list[float]:
    rng = np.random.default_rng(89)

    def linear(m, n):
        return {
            "w": jnp.asarray(rng.normal(size=(m, n)) / np.sqrt(m), jnp.float32),
            "b": jnp.zeros((1, n), jnp.float32),
        }

    params = ModelParams(representation=linear(5, 8), dynamics=linear(10, 8), prediction=linear(8, 4))
    observations = rng.normal(size=(12, 16, 5)).astype(np.float32)
    actions = rng.integers(0, 2, size=(12, 3, 16)).astype(np.int32)
    policies = rng.dirichlet(np.ones(2), size=(12, 3, 16)).astype(np.float32)
    values = np.tanh(observations[:, None, :, 0] + 0.5 * (actions - 0.5)).astype(np.float32)
    rewards = (0.1 * actions).astype(np.float32)

    schedule = optax.exponential_decay(init_value=3e-2, transition_steps=6, decay_rate=0.5)
    optimizer = optax.chain(
        optax.add_decayed_weights(1e-3),
        optax.clip_by_global_norm(5.0),
        optax.scale_by_adam(eps=1e-5),
        optax.scale_by_schedule(lambda count: -schedule(count)),
    )

    def apply(layer, x):
        return x @ layer["w"] + layer["b"]

    def loss_fn(params, target, obs, actions, policies, values, rewards):
        state = jnp.tanh(apply(params.representation, obs))
        teacher = jnp.tanh(apply(target.representation, obs))
        loss = 1e-2 * optax.cosine_distance(state, jax.lax.stop_gradient(teacher), epsilon=1e-6).mean()
        for k in range(3):
            one_hot = jax.nn.one_hot(actions[k], 2)
            state = jnp.tanh(apply(params.dynamics, jnp.concatenate([state, one_hot], axis=-1)))
            state = optax.scale_gradient(state, 0.5)
            out = apply(params.prediction, state)
            loss += optax.softmax_cross_entropy(out[:, :2], policies[k]).mean()
            loss += optax.kl_divergence(jax.nn.log_softmax(out[:, :2]), policies[k]).mean()
            loss += optax.l2_loss(out[:, 2], values[k]).mean() + optax.log_cosh(out[:, 3], rewards[k]).mean()
        return loss

    @jax.jit
    def learn(state: LearnerState, batch):
        loss, grads = jax.value_and_grad(loss_fn)(state.params, state.target, *batch)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        count = optax.tree_utils.tree_get(opt_state, "count", filtering=lambda path, _: "ScaleByAdam" in str(path))
        target = optax.periodic_update(params, state.target, count, update_period=4)
        return LearnerState(params=params, target=target, opt_state=opt_state), loss

    state = LearnerState(params=params, target=params, opt_state=optimizer.init(params))
    losses = []
    for batch in zip(observations, actions, policies, values, rewards, strict=True):
        state, loss = learn(state, batch)
        losses.append(float(loss))
    norm = optax.tree_utils.tree_norm(state.target)
    return [*losses, float(norm), float(optax.tree_utils.tree_norm(state.params, squared=True))]

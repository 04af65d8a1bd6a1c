"""Checkpoints as bytes: flax.serialization of a TrainState and a pickle of its parts, and training resumed."""

import pickle

import flax.linen as nn
import jax
import numpy as np
import optax
from flax import serialization
from flax.training.train_state import TrainState


class Regressor(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.tanh(nn.Dense(8)(x)))[:, 0]


def make_optimizer() -> optax.GradientTransformation:
    return optax.chain(
        optax.adaptive_grad_clip(0.5),
        optax.trace(decay=0.9, nesterov=False),
        optax.scale_by_schedule(optax.exponential_decay(-0.05, transition_steps=3, decay_rate=0.9, staircase=True)),
    )


def make_state(seed: int, model: nn.Module, tx: optax.GradientTransformation, x) -> TrainState:
    params = jax.jit(model.init)(jax.random.key(seed), x)["params"]
    return TrainState.create(apply_fn=model.apply, params=params, tx=tx)


@jax.jit
def train_step(state, x, y):
    loss, grads = jax.value_and_grad(lambda p: optax.squared_error(state.apply_fn({"params": p}, x), y).mean())(
        state.params
    )
    return state.apply_gradients(grads=grads), loss


def main() -> list[float]:
    rng = np.random.default_rng(45)
    x = rng.normal(size=(24, 3)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] - x[:, 2]).astype(np.float32)
    model, tx = Regressor(), make_optimizer()
    state = make_state(0, model, tx, x)
    results = []
    for _ in range(7):
        state, loss = train_step(state, x, y)
        results.append(float(loss))

    as_bytes = serialization.to_bytes(state)
    as_dict = serialization.to_state_dict(state)
    assert set(as_dict) == {"step", "params", "opt_state"}
    pickled = pickle.dumps(jax.device_get((state.params, state.opt_state)))

    from_bytes = serialization.from_bytes(make_state(1, model, tx, x), as_bytes)
    params, opt_state = pickle.loads(pickled)
    from_pickle = make_state(2, model, tx, x).replace(step=state.step, params=params, opt_state=opt_state)
    for resumed in (state, from_bytes, from_pickle):
        resumed_losses = []
        for _ in range(6):
            resumed, loss = train_step(resumed, x, y)
            resumed_losses.append(float(loss))
        results += resumed_losses
    np.testing.assert_allclose(results[7:13] * 2, results[13:25], rtol=1e-5)
    return results

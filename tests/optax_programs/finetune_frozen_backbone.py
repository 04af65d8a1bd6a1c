"""Fine-tuning in Flax Linen: a backbone frozen by multi_transform with set_to_zero, then thawed in a second phase."""

import flax.linen as nn
import jax
import numpy as np
import optax
from flax import traverse_util
from flax.training import train_state


class Classifier(nn.Module):
    def setup(self):
        self.backbone = nn.Sequential([nn.Dense(12), nn.tanh, nn.Dense(12), nn.tanh])
        self.head = nn.Dense(3)

    def __call__(self, x):
        return self.head(self.backbone(x))


@jax.jit
def train_step(state, x, y):
    def loss_fn(params):
        logits = state.apply_fn({"params": params}, x)
        return optax.softmax_cross_entropy(logits, jax.nn.one_hot(y, 3)).mean()

    loss, grads = jax.value_and_grad(loss_fn)(state.params)
    return state.apply_gradients(grads=grads), loss


def main() -> list[float]:
    rng = np.random.default_rng(41)
    x = rng.normal(size=(32, 6)).astype(np.float32)
    y = np.argmax(x[:, :3] + 0.3 * x[:, 3:], axis=1).astype(np.int32)
    model = Classifier()
    params = jax.jit(model.init)(jax.random.PRNGKey(41), x)["params"]

    partition_optimizers = {"trainable": optax.adam(3e-2), "frozen": optax.set_to_zero()}
    param_partitions = traverse_util.path_aware_map(
        lambda path, v: "frozen" if "backbone" in path else "trainable", params
    )
    tx = optax.multi_transform(partition_optimizers, param_partitions)
    state = train_state.TrainState.create(apply_fn=model.apply, params=params, tx=tx)
    before = np.asarray(params["backbone"]["layers_0"]["kernel"])
    losses = []
    for _ in range(10):
        state, loss = train_step(state, x, y)
        losses.append(float(loss))
    assert np.array_equal(before, state.params["backbone"]["layers_0"]["kernel"])
    trainable_state = state.opt_state.inner_states["trainable"]
    losses.append(float(optax.tree_utils.tree_get(trainable_state, "count")))

    # Second phase: all parameters, the backbone at a tenth of the rate, with labels from a function.
    def label_fn(params):
        return {name: jax.tree_util.tree_map(lambda _: name, sub) for name, sub in params.items()}

    tx = optax.multi_transform({"backbone": optax.sgd(0.03, momentum=0.9), "head": optax.sgd(0.3)}, label_fn)
    state = train_state.TrainState.create(apply_fn=model.apply, params=state.params, tx=tx)
    for _ in range(8):
        state, loss = train_step(state, x, y)
        losses.append(float(loss))
    return losses

"""Fine-tuning a part of an Equinox model: eqx.partition by a filter, None among the leaves, and AdamW with a mask."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax


class Classifier(eqx.Module):
    layers: list
    activation: callable = eqx.field(static=True)
    temperature: float

    def __init__(self, key):
        k1, k2, k3 = jax.random.split(key, 3)
        self.layers = [
            eqx.nn.Linear(5, 12, key=k1),
            eqx.nn.Linear(12, 12, use_bias=False, key=k2),
            eqx.nn.Linear(12, 3, key=k3),
        ]
        self.activation = jnp.tanh
        self.temperature = 2.0

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x) / self.temperature


def main() -> list[float]:
    rng = np.random.default_rng(80)
    x = rng.normal(size=(24, 5)).astype(np.float32)
    y = np.argmax(x[:, :3], axis=1).astype(np.int32)
    model = eqx.filter_jit(Classifier)(jax.random.PRNGKey(80))

    filter_spec = jax.tree_util.tree_map(lambda _: False, model)
    filter_spec = eqx.tree_at(
        lambda tree: (tree.layers[1].weight, tree.layers[2].weight, tree.layers[2].bias),
        filter_spec,
        replace=(True, True, True),
    )
    diff_model, static_model = eqx.partition(model, filter_spec)
    optim = optax.adamw(
        optax.cosine_decay_schedule(5e-2, 15),
        weight_decay=0.1,
        mask=lambda params: jax.tree_util.tree_map(lambda p: p.ndim > 1, params),
    )
    opt_state = optim.init(diff_model)

    @eqx.filter_jit
    def make_step(diff_model, static_model, opt_state, x, y):
        @eqx.filter_value_and_grad
        def loss(diff_model):
            logits = jax.vmap(eqx.combine(diff_model, static_model))(x)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))

        value, grads = loss(diff_model)
        updates, opt_state = optim.update(grads, opt_state, diff_model)
        return eqx.apply_updates(diff_model, updates), opt_state, value

    losses = []
    for _ in range(15):
        diff_model, opt_state, value = make_step(diff_model, static_model, opt_state, x, y)
        losses.append(float(value))
    tuned = eqx.combine(diff_model, static_model)
    assert np.array_equal(tuned.layers[0].weight, model.layers[0].weight)
    moments = [leaf.size for leaf in jax.tree_util.tree_leaves(opt_state[0].nu)]
    return [*losses, float(sum(moments)), float(opt_state[-1].count)]

"""Layer-wise rates: partition with labels from tree_map_with_path, a schedule per group, and decay by depth."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax


def init_params(rng, depth=3, width=8):
    params = {"embed": {"kernel": jnp.asarray(rng.normal(size=(4, width)) / 2, jnp.float32)}}
    for i in range(depth):
        params[f"block_{i}"] = {
            "kernel": jnp.asarray(rng.normal(size=(width, width)) / np.sqrt(width), jnp.float32),
            "scale": jnp.ones(width, jnp.float32),
        }
    params["head"] = {"kernel": jnp.asarray(rng.normal(size=(width, 2)) / np.sqrt(width), jnp.float32)}
    return params


def forward(params, x):
    x = x @ params["embed"]["kernel"]
    for i in range(3):
        block = params[f"block_{i}"]
        x = x + jnp.tanh(x @ block["kernel"]) * block["scale"][None, :]
    return x @ params["head"]["kernel"]


def label_fn(params: optax.Params):
    def label(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name.endswith("scale"):
            return "norm"
        found = re.match(r"block_(\d+)", name)
        return f"depth_{found.group(1)}" if found else "outer"

    return jax.tree_util.tree_map_with_path(label, params)


def main() -> list[float]:
    rng = np.random.default_rng(43)
    params = init_params(rng)
    x = rng.normal(size=(32, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int32)

    transforms = {
        f"depth_{i}": optax.adamw(optax.cosine_decay_schedule(2e-2 * 0.6 ** (2 - i), 15, alpha=0.1), weight_decay=1e-2)
        for i in range(3)
    }
    transforms["norm"] = optax.sgd(1e-2)
    transforms["outer"] = optax.chain(optax.clip_by_block_rms(0.1), optax.adam(2e-2))
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.partition(transforms, label_fn))
    opt_state = tx.init(params)

    @jax.jit
    def step(params, opt_state):
        def loss_fn(params):
            labels = optax.smooth_labels(jax.nn.one_hot(y, 2), 0.1)
            return optax.softmax_cross_entropy(forward(params, x), labels).mean()

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        sizes = jax.tree_util.tree_map(lambda u: jnp.abs(u).mean(), updates)
        return optax.apply_updates(params, updates), opt_state, loss, sizes

    results = []
    for _ in range(15):
        params, opt_state, loss, sizes = step(params, opt_state)
        results.append(float(loss))
    results += [float(size) for size in jax.tree_util.tree_leaves(sizes)]
    return results

"""Word-embedding training with negative samples by Adagrad, and a contrastive projector with a cosine loss by SM3."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

VOCABULARY, DIM = 12, 6


def main() -> list[float]:
    rng = np.random.default_rng(72)
    centers = rng.integers(0, VOCABULARY, size=(14, 16)).astype(np.int32)
    contexts = ((centers + rng.integers(1, 3, size=centers.shape)) % VOCABULARY).astype(np.int32)
    negatives = rng.integers(0, VOCABULARY, size=(14, 16, 3)).astype(np.int32)
    labels = np.repeat(np.arange(4), 4)

    tables = {
        "in": jnp.asarray(0.3 * rng.normal(size=(VOCABULARY, DIM)), jnp.float32),
        "out": jnp.asarray(0.3 * rng.normal(size=(VOCABULARY, DIM)), jnp.float32),
    }
    projector = jnp.asarray(rng.normal(size=(DIM, 4)), jnp.float32)
    features = (rng.normal(size=(4, DIM))[labels] + 0.5 * rng.normal(size=(16, DIM))).astype(np.float32)
    table_opt = optax.adagrad(0.3, initial_accumulator_value=0.1, eps=1e-8)
    projector_opt = optax.sm3(0.1, momentum=0.9)

    def skip_gram(tables, center, context, negative):
        v = tables["in"][center]
        positive = jnp.sum(v * tables["out"][context], axis=-1)
        noise = jnp.einsum("bd,bkd->bk", v, tables["out"][negative])
        loss = optax.sigmoid_binary_cross_entropy(positive, jnp.ones_like(positive)).mean()
        return loss + optax.sigmoid_binary_cross_entropy(noise, jnp.zeros_like(noise)).mean()

    def contrastive(projector):
        z = features @ projector
        same = optax.cosine_distance(z, z[np.arange(16) ^ 1], epsilon=1e-6).mean()
        other = optax.cosine_similarity(z, z[(np.arange(16) + 4) % 16], epsilon=1e-6)
        return same + jnp.maximum(other, 0.0).mean()

    @jax.jit
    def step(tables, table_state, projector, projector_state, batch):
        loss, grads = jax.value_and_grad(skip_gram)(tables, *batch)
        updates, table_state = table_opt.update(grads, table_state, tables)
        tables = optax.apply_updates(tables, updates)
        other, grads = jax.value_and_grad(contrastive)(projector)
        updates, projector_state = projector_opt.update(grads, projector_state, projector)
        return tables, table_state, optax.apply_updates(projector, updates), projector_state, loss, other

    table_state, projector_state = table_opt.init(tables), projector_opt.init(projector)
    results = []
    for batch in zip(centers, contexts, negatives, strict=True):
        tables, table_state, projector, projector_state, loss, other = step(
            tables, table_state, projector, projector_state, batch
        )
        results += [float(loss), float(other)]
    accumulator = optax.tree_utils.tree_get(table_state, "sum_of_squares")
    return [*results, float(jnp.sum(accumulator["in"]))]

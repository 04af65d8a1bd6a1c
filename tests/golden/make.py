"""Golden files: a step of each named optimizer from a stored state, for `test_golden.py`.

    python tests/golden/make.py            # makes the files that are not there
    python tests/golden/make.py adam sgd   # makes these again: states that users have stored will not load any more

A file is made once, when an optimizer is new, and must load for ever.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from cases import OPTIMIZERS  # noqa: E402

import gradtx as gx  # noqa: E402

# One case of each: that of the fewest surprises, which comes first.
NAMED = {case.transform.factory_name: case for case in reversed(OPTIMIZERS)}
OF_EXAMPLES = {"dpsgd"}  # their gradients have an axis of examples in front


def random_tree(seed):
    random = np.random.default_rng(seed)
    shapes = {"dense": {"kernel": (3, 2), "bias": (2,)}, "scale": ()}
    return jax.tree.map(
        lambda shape: jnp.asarray(random.standard_normal(shape), jnp.float32),
        shapes,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def flat(tree, prefix):
    return {f"{prefix}:{path}": x for path, x in zip(gx.tree.paths(tree), jax.tree.leaves(tree), strict=True)}


def fourth_step(case):
    """What a file holds: the transform, its state after three steps, and the update of the fourth."""
    tx, params = case.transform, random_tree(0)
    state = tx.init(params)
    for step in range(1, 5):
        grads = random_tree(step)
        if tx.factory_name in OF_EXAMPLES:
            grads = jax.tree.map(lambda g: jnp.stack([g, -0.5 * g]), grads)
        updates, new = tx.update(grads, state, params, **case.extras(params))
        if step < 4:
            params, state = gx.apply_updates(params, updates), new
    arrays = {f"state:{name}": x for name, x in gx.state_dict(tx, state).items()}
    config = {"config": np.asarray(json.dumps(gx.to_config(tx)))}
    return config | flat(params, "params") | flat(grads, "gradient") | arrays | flat(updates, "update")


def main(names):
    unknown = [name for name in names if name not in NAMED]
    if unknown:
        raise SystemExit(f"no optimizer is called {', '.join(unknown)}")
    for name, case in NAMED.items():
        path = FOLDER / f"{name}.npz"
        if name in names or not path.exists():
            np.savez_compressed(path, **fourth_step(case))
            print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])

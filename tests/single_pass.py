"""What XLA makes of a step, and what comes out. As a script it is in one pass, for test_single_pass.py."""

import json
import sys

import gradtx as gx

if __name__ == "__main__":
    gx.single_pass_cpu()  # before anything else computes

import jax
import jax.numpy as jnp
import numpy as np
from cases import CASES
from test_compiled import COMPOSED, SIZE, _compiled

BY_NAME = {case.name: case for case in [*CASES, *COMPOSED]}
STEPS = 4


def measured(case):
    """Bytes moved per parameter, the fewest there can be, and temporary arrays."""
    compiled = _compiled(case.transform, gx.apply_updates, extras=case.extras)
    state = jax.eval_shape(case.transform.init, jax.ShapeDtypeStruct((SIZE,), jnp.float32))
    fewest = 12 + 2 * round(gx.tree.nbytes(state) / SIZE)
    temporary = compiled.memory_analysis().temp_size_in_bytes / (4 * SIZE)
    return compiled.cost_analysis().get("bytes accessed", 0.0) / SIZE, fewest, temporary


def updates(case):
    """The updates of a few compiled steps on one small array."""
    random = np.random.default_rng(0)
    params, *gradients = jnp.asarray(random.standard_normal((1 + STEPS, 50)), jnp.float32)

    def step(carry, g):
        params, state = carry
        u, state = case.transform.update(g, state, params, **case.extras(params))
        return (gx.apply_updates(params, u), state), u

    run = jax.jit(lambda p, gs: jax.lax.scan(step, (p, case.transform.init(p)), gs)[1])
    return np.asarray(run(params, jnp.stack(gradients)))


if __name__ == "__main__":
    chosen = [BY_NAME[name] for name in sys.argv[1:]]
    print(json.dumps({case.name: [measured(case), updates(case).tolist()] for case in chosen}))

"""States that were stored once load for ever, and training goes on from them with the same numbers."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.make import FOLDER, NAMED, random_tree

import gradtx as gx

PREFIXES = ("params", "gradient", "state", "update")


def _read(name):
    with np.load(FOLDER / f"{name}.npz") as file:
        content = dict(file)
    return json.loads(str(content.pop("config"))), {
        prefix: {key.removeprefix(f"{prefix}:"): x for key, x in content.items() if key.startswith(f"{prefix}:")}
        for prefix in PREFIXES
    }


def _tree(arrays):
    like = random_tree(0)  # of which only the structure is of use
    return jax.tree.structure(like).unflatten([jnp.asarray(arrays[path]) for path in gx.tree.paths(like)])


@pytest.mark.parametrize("name", NAMED)
def test_a_stored_state_goes_on_with_the_same_numbers(name):
    path = FOLDER / f"{name}.npz"
    assert path.exists(), f"{name} has no golden file: run `python tests/golden/make.py`"
    config, arrays = _read(name)
    tx, params, grads = gx.from_config(config), _tree(arrays["params"]), _tree(arrays["gradient"])
    assert tx.factory_name == name
    state = gx.load_state_dict(tx, params, arrays["state"])
    with jax.disable_jit():  # operations are compiled once for all of them, loops and branches for each
        updates, _ = tx.update(grads, state, params, **NAMED[name].extras(params))
    magnified = NAMED[name].magnified
    scale = max(np.max(np.abs(x)) for x in arrays["update"].values())
    assert scale > 0
    for path, x in zip(gx.tree.paths(updates), jax.tree.leaves(updates), strict=True):
        np.testing.assert_allclose(x, arrays["update"][path], rtol=1e-6 * magnified, atol=1e-6 * magnified * scale)


def test_no_file_is_of_an_optimizer_that_is_gone():
    assert {path.stem for path in FOLDER.glob("*.npz")} == set(NAMED)
    assert sum(path.stat().st_size for path in FOLDER.glob("*.npz")) < 1_000_000

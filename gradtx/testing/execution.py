"""Laws of execution: jit, vmap, scan, restoring, sharding and lowering do not change the results."""

import pickle
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import gradtx
from gradtx._base.numerics import is_key
from gradtx._core.updates import apply_updates
from gradtx._values.value import Value
from gradtx.testing.case import Case
from gradtx.testing.trials import (
    ByIdentity,
    close,
    compiled_step,
    identical,
    params_of,
    require,
    run,
    scanned,
    updates_of,
    without_keys,
)


def jit_equals_eager(case: Case) -> None:
    """Updates and states under `jit` equal those of eager execution, up to rounding."""
    params, updates = params_of(case), updates_of(case)
    state, out, step = case.transform.init(params), [], compiled_step(ByIdentity(case))
    wanted = run(case, params, updates, move=False)
    for one in updates:
        one, state = step(one, state, params)
        out.append(one)
    close((out, state), wanted, "jit against eager", magnified=case.magnified)


def one_trace(case: Case) -> None:
    """A jitted step is traced once: not again at later steps, nor for other values of the hyperparameters."""
    params, updates = params_of(case), updates_of(case, 1)[0]
    traces = []

    @jax.jit
    def step(tx: Any, params: Any, updates: Any, state: Any) -> Any:
        traces.append(1)
        updates, state = tx.update(updates, state, params, **case.extras(params))
        return apply_updates(params, updates), state

    tx = case.transform
    state = jax.jit(tx.init).eval_shape(params)
    for scale in (1.0, 0.9, 0.8):
        other = jax.tree.map(lambda x, scale=scale: scale * x, tx)
        params, state = step.eval_shape(other, params, updates, state)
        params, state = step.eval_shape(other, params, updates, state)
    require(len(traces) == 1, f"expected one trace for six steps with three sets of hyperparameters, got {len(traces)}")


def eager_steps_compile_once(case: Case) -> None:
    """Without `jit`, a second run compiles nothing: no loop or branch is over a function that is new at each step."""
    params, updates = params_of(case), updates_of(case)
    run(case, params, updates)
    before = len(_compiled)
    run(case, params, updates)
    again = sorted(set(_compiled[before:]))
    require(
        not again,
        f"a step outside of jit compiles {', '.join(again)} each time: a loop or a branch is over a function that is "
        "made anew at each step. Define it at module level under jax.jit, and pass what it reads as arguments; or, if "
        "nobody steps outside of jit: Case(tx, excused={'eager_steps_compile_once': 'the reason'})",
    )


_compiled: list[str] = []
"""What has been compiled in this process."""


def _note_compiled(event: str, duration_secs: float, **kwargs: str | int) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        _compiled.append(str(kwargs.get("fun_name", "a program")))


jax.monitoring.register_event_duration_secs_listener(_note_compiled)


def vmap_equals_loop(case: Case) -> None:
    """`vmap` over parameters, updates and hyperparameters equals a loop over them."""
    batch = [(params_of(case), updates_of(case, 2, scale=scale)) for scale in (1.0, 0.5, 2.0)]
    numbers = [jax.tree.map(lambda x, s=s: jnp.asarray(s * x, float), case.transform) for s in (1.0, 0.95, 0.9)]
    if not isinstance(case.transform, Value):
        numbers = [case.transform] * len(batch)

    def one(tx: Any, params: Any, updates: Any) -> Any:
        return run(case, params, updates, tx)

    together = jax.vmap(one)(*_stacked([(tx, *pair) for tx, pair in zip(numbers, batch, strict=True)]))
    apart = [one(tx, *pair) for tx, pair in zip(numbers, batch, strict=True)]
    close(together, _stacked(apart), "vmap against a loop", magnified=case.magnified)


def layers_stack(case: Case) -> None:
    """Stacked layers under `over_layers` give the same updates as separate layers."""
    layers = [
        (jax.tree.map(lambda p, s=scale: s * p, params_of(case)), updates_of(case, 2, scale=scale))
        for scale in (1.0, 0.5, 2.0)
    ]
    stack = Case(gradtx.over_layers(case.transform), extras=case.extras, matrices=case.matrices)
    together = run(stack, *_stacked(layers))
    close(together[0], _stacked([run(case, *layer)[0] for layer in layers]), "stacked layers", magnified=case.magnified)


def _stacked(trees: list) -> Any:
    return jax.tree.map(lambda *xs: jnp.stack(xs), *trees)


def scan_equals_loop(case: Case) -> None:
    """Steps inside `lax.scan` equal steps in a Python loop."""
    params, updates = params_of(case), updates_of(case)
    close(scanned(case, params, updates), run(case, params, updates), "a scan against a loop", magnified=case.magnified)


def restores(case: Case) -> None:
    """A run that goes on from a state saved as NumPy arrays is the same bit for bit as one that was not interrupted."""
    params, updates, step = params_of(case), updates_of(case), compiled_step(ByIdentity(case))
    state = step(updates[0], case.transform.init(params), params)[1]
    saved = pickle.dumps(jax.tree.map(np.asarray, without_keys(state)))
    restored = jax.tree.map(_restored, state, pickle.loads(saved))
    for one in updates[1:]:
        (wanted, state), (got, restored) = step(one, state, params), step(one, restored, params)
        identical((got, restored), (wanted, state), "after restoring")


def _restored(old: Any, saved: np.ndarray) -> Any:
    new = jnp.asarray(saved)
    return jax.random.wrap_key_data(new, impl=jax.random.key_impl(old)) if is_key(old) else new


def sharded_equals_whole(case: Case) -> None:
    """Updates sharded over all devices equal those on one device, and the state keeps its shardings.

    That is so for arrays with axes of a parameter; a factor of side times side is whole on every device.
    """
    count = jax.device_count()
    mesh = jax.make_mesh((count,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = NamedSharding(mesh, PartitionSpec("x"))
    random = np.random.default_rng(0)
    params, *updates = [
        {
            "w": jnp.asarray(abs(random.standard_normal((2 * count, 3))), jnp.float32),
            "b": jnp.ones((count, 2) if case.matrices else count),
        }
        for _ in range(3)
    ]
    wanted = run(case, params, updates)[0]
    params = jax.device_put(params, spread)
    first = case.transform.init(params)
    got, state = scanned(case, params, [jax.device_put(one, spread) for one in updates])
    close(got, wanted, "sharded against whole", magnified=case.magnified)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(first), strict=True):
        if a.ndim and a.shape[0] >= count and any(_has_axes(p.shape, a.shape) for p in params.values()):
            require(
                b.sharding.is_equivalent_to(spread, b.ndim),
                f"init: expected the sharding {spread} of the state, got {b.sharding}",
            )
            require(
                a.sharding.is_equivalent_to(spread, a.ndim),
                f"update: expected the sharding {spread} of the state, got {a.sharding}",
            )


def _has_axes(shape: tuple[int, ...], axes: tuple[int, ...]) -> bool:
    """Whether the axes are some of those of the shape, in their order."""
    rest = iter(shape)
    return all(axis in rest for axis in axes)


def lowers_everywhere(case: Case) -> None:
    """A step can be lowered for CPU, CUDA and TPU, on any machine."""
    params = jax.eval_shape(lambda: params_of(case))
    state = jax.eval_shape(case.transform.init, params)

    @jax.jit
    def step(params: Any, updates: Any, state: Any) -> Any:
        return case.transform.update(updates, state, params, **case.extras(params))

    jax.export.export(step, platforms=["cpu", "cuda", "tpu"])(params, params, state)


LAWS = [
    jit_equals_eager,
    one_trace,
    eager_steps_compile_once,
    vmap_equals_loop,
    layers_stack,
    scan_equals_loop,
    restores,
    sharded_equals_whole,
    lowers_everywhere,
]

"""Measurements of one donated step: what does not depend on the machine, and times, taken in turns."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gradtx as gx


class Step(NamedTuple):
    """A compiled step.

    Attributes:
        run: `(params, state, grads) -> (params, state)`, donated.
        init: makes the state.
        seconds: of tracing, lowering and compiling, in this order.
        moved: bytes accessed, by the compiler's account.
        temporary: bytes allocated in between.
        arguments: bytes that come in.
        outputs: bytes that go out, those in the place of what came in among them.
        state: bytes of the state.
        fusions: how many kernels there are.
        scalar_kernels: how many of them compute one number.
    """

    run: Callable[..., Any]
    init: Callable[..., Any]
    seconds: tuple[float, float, float]
    moved: float
    temporary: int
    arguments: int
    outputs: int
    state: int
    fusions: int
    scalar_kernels: int


def step_of(tx: Any, params: Any, grad_fn: bool = False, whole: bool = False) -> Step:
    """The step of a transform for abstract parameters, traced and compiled with nothing in JAX's caches."""
    step = whole_step(tx) if whole else training_step(tx, **({"grad_fn": slope} if grad_fn else {}))
    state = jax.eval_shape(tx.init, params)
    jax.clear_caches()
    begin = time.perf_counter()
    traced = jax.jit(step, donate_argnums=(0, 1)).trace(params, state, params)
    after_trace = time.perf_counter()
    lowered = traced.lower()
    after_lower = time.perf_counter()
    compiled = lowered.compile()
    seconds = (after_trace - begin, after_lower - after_trace, time.perf_counter() - after_lower)
    memory, text = compiled.memory_analysis(), compiled.as_text() or ""
    kernels = [line for line in text[text.find("ENTRY") :].split("\n") if " fusion(" in line]
    return Step(
        run=compiled,
        init=tx.init,
        seconds=seconds,
        moved=(compiled.cost_analysis() or {}).get("bytes accessed", 0.0),
        temporary=memory.temp_size_in_bytes,
        arguments=memory.argument_size_in_bytes,
        outputs=memory.output_size_in_bytes,
        state=gx.tree.nbytes(state),
        fusions=len(kernels),
        scalar_kernels=sum("[] fusion(" in line for line in kernels),
    )


def training_step(tx: Any, **extra: Any) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """A step `(params, state, grads) -> (params, state)`; `extra` are what the transform asks for."""

    def step(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params, **extra)
        return gx.apply_updates(params, updates), state

    return step


def whole_step(tx: Any) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """The same step as `make_train_step` makes it, of a loss whose gradient is an argument."""

    @jax.custom_vjp
    def loss(params: Any, grads: Any) -> Any:
        return jnp.zeros(())

    loss.defvjp(lambda params, grads: (jnp.zeros(()), grads), lambda grads, _: (grads, None))
    step = gx.make_train_step(loss, tx, donate=False)
    return lambda params, state, grads: step(params, state, grads)[:2]


def going(step: Step, params: Any) -> Callable[[], None]:
    """A function that makes one step of a run, from parameters of 0.01, and waits for it."""
    grads = filled(params)
    at = (filled(params), _fresh(step.init(grads)))

    def once() -> None:
        nonlocal at
        at = jax.block_until_ready(step.run(*at, grads))

    return once


def filled(params: Any) -> Any:
    """Arrays of 0.01."""
    return jax.tree.map(lambda p: jnp.full(p.shape, 0.01, p.dtype), params)


def slope(params: Any, *_: Any) -> Any:
    """A gradient that a transform may ask for."""
    return jax.tree.map(lambda p: 0.5 * p, params)


def bowl(params: Any, *_: Any) -> Any:
    """A loss that a transform may ask for."""
    return sum(0.5 * jnp.sum(p * p) for p in jax.tree.leaves(params))


TRIAD_BYTES = 12 * 20_000_000


def triad() -> Callable[[], None]:
    """A function that makes one donated triad `a + 2 b`: it reads two arrays and writes one, `TRIAD_BYTES` in all."""
    step = jax.jit(lambda a, b: a + 2.0 * b, donate_argnums=0)
    a, b = jnp.zeros(TRIAD_BYTES // 12), jnp.ones(TRIAD_BYTES // 12)

    def once() -> None:
        nonlocal a
        a = step(a, b).block_until_ready()

    return once


def in_turns(runs: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each run, round by round: one after the other, so that all have the same weather.

    A turn is two steps, and the second is timed: memory that a step frees when it is done is a cost of its own next
    step, as in training, and not of the other's. Before it is a rest, for PyTorch's threads look out for more work for
    some time, and would take a core from who comes next.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(-2, rounds):  # two to warm up
        for name, once in runs.items():
            time.sleep(0.005)
            once()
            begin = time.perf_counter()
            once()
            if round_ >= 0:
                times[name].append(time.perf_counter() - begin)
    return times


def _fresh(state: Any) -> Any:
    """Copies, for Optax's states may share buffers that are donated."""
    return jax.tree.map(jnp.copy, state)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """The ratio of the medians, and the quartiles of the ratios of the rounds."""
    pairs = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    low, _, high = statistics.quantiles(pairs, n=4)
    return statistics.median(ours) / statistics.median(theirs), low, high

"""Sweeps over hyperparameters and seeds. Hyperparameters are pytree leaves, so a sweep is one vmapped program."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base.calls import explains_calls
from gradtx._base.checks import function_of
from gradtx._base.errors import GradtxTypeError, GradtxValueError, at_stage, short
from gradtx._base.numerics import is_key
from gradtx._base.terminal import terminal
from gradtx._base.typing import Array
from gradtx._core.hyperparams import number_at, with_numbers
from gradtx._core.loss import reading_noted
from gradtx._core.parts import is_transform
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._inspection.sweep_result import SweepResult
from gradtx.inspect import describe

Block = tuple[np.ndarray, np.ndarray]
"""The runs of one program call: indices of grid points, and indices of seeds."""


@explains_calls("sweep")
def sweep(
    train: Callable[[GradientTransformation, Array], Any],
    tx: GradientTransformation,
    grid: Mapping[str, Any],
    seeds: int | Sequence[int] = 1,
    *,
    has_aux: bool = False,
    chunk: int | None = None,
    max_bytes: int | None = None,
    progress: bool = True,
) -> SweepResult:
    """Trains with each combination of hyperparameter values and seeds, in one compiled program.

    `train` is traced once, and vmapped over the hyperparameters and the random keys. Arrays that it closes over, such
    as the data, are shared by all runs. A computation that depends only on the key is done once for all grid points.
    All grid points get the same keys, so their losses are comparable. A run that diverges does not affect the others.

    Args:
        train: `(tx, key) -> loss`, or `(tx, key) -> (loss, aux)` with `has_aux`: any JAX function, also with `jit` and
            `scan` inside. The loss is a real 0-d array, aux a pytree of arrays.
        tx: the transform, made by factories.
        grid: the values to try per hyperparameter, by name; all combinations are tried. The names are those of
            `get_hyperparams`: `learning_rate`, or `fast/learning_rate` if several hyperparameters have that name. The
            arguments of a schedule have names too: `init_value`, or `learning_rate/init_value`.
        seeds: the number of seeds, counted from 0, or a sequence of seeds. Each run gets `jax.random.key(seed)`.
        has_aux: whether `train` returns a pair `(loss, aux)`.
        chunk: the maximum number of runs per program call; None for all. Smaller chunks update the progress bar more
            often.
        max_bytes: the memory limit for outputs and temporary buffers. If the compiler's memory analysis exceeds it,
            the program is recompiled for fewer runs per call, down to one. None for half of the free device memory,
            or 2 GiB if the device does not report it (a CPU).
        progress: whether to show a progress bar on a terminal.

    Returns:
        A `SweepResult`: `losses`, `diverged` and `best`, the transform with the best values. Its text is a table.

    Raises:
        GradtxValueError: a name belongs to no hyperparameter, to several, or to one that follows a schedule; a value is
            out of range; a sequence of values is empty; `seeds`, `chunk` or `max_bytes` is not positive.
        GradtxTypeError: the values are not numbers, or `train` does not return a real 0-d array.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def train(tx, key):
        ...     loss = lambda p: jnp.sum(p**2)
        ...     def step(carry, _):
        ...         updates, state = tx.update(jax.grad(loss)(carry[0]), carry[1])
        ...         return (carry[0] + updates, state), None
        ...     p = jax.random.normal(key, (3,))
        ...     return loss(jax.lax.scan(step, (p, tx.init(p)), length=20)[0][0])
        >>> result = sweep(train, sgd(0.1), {"learning_rate": [0.01, 0.1, 1.0]}, seeds=2)
        >>> result.best
        sgd(learning_rate=0.1, momentum=None, nesterov=False)
    """
    with at_stage("sweep"):
        if isinstance(tx, (list, tuple)) and any(map(is_transform, tx)):
            raise GradtxTypeError("expected one transform; call sweep once for each, as they differ in structure")
        function_of("train", train, "tx", "key")
        tx = as_transformation(tx)
        values = _values(tx, grid)
        seeds = _seeds(seeds)
        limit = _positive("chunk", chunk) or math.inf
        bound = _positive("max_bytes", max_bytes) or _spare_memory()
        points = jnp.asarray(np.asarray([*itertools.product(*values.values())]), float)
        keys = jnp.stack([jax.random.key(seed) for seed in seeds])

        impls: list[Any] = []  # NumPy, which holds the results, does not know random keys

        def member(numbers: Array, key: Array) -> tuple[Array, Any]:
            with reading_noted("loss"):
                result = train(with_numbers(tx, dict(zip(values, numbers, strict=True))), key)
            loss, aux = _loss_and_aux(result, has_aux)
            impls.append(jax.tree.map(lambda x: jax.random.key_impl(x) if is_key(x) else "", aux))
            return loss, jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, aux)

        # Traced once. Closed-over arrays become arguments, so that they are not embedded as constants in the program.
        traced, shapes = jax.make_jaxpr(member, return_shape=True)(points[0], keys[0])

    from jax.extend.core import ClosedJaxpr, jaxpr_as_fun  # a local import: it takes as long as importing gradtx

    def run(data: list[Any], points: Array, keys: Array) -> list[Array]:
        one = jaxpr_as_fun(ClosedJaxpr(traced.jaxpr, data))
        return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(points, keys)

    say = terminal(progress)
    say("sweep: compiling")
    with jax.disable_jit(False):  # it is one compiled program in any case
        program, blocks = _fitted(jax.jit(run), traced.consts, points, keys, limit, bound)
        results = [np.empty((len(points), len(keys), *x.shape), x.dtype) for x in traced.out_avals]
        for rows, columns in _followed(blocks, say):
            for whole, part in zip(results, program(traced.consts, points[rows], keys[columns]), strict=True):
                whole[np.ix_(rows, columns)] = part
    results = [x.reshape(*map(len, values.values()), *x.shape[1:]) for x in results]
    losses, aux = jax.tree.structure(shapes).unflatten(results)
    aux = jax.tree.map(lambda x, impl: jax.random.wrap_key_data(x, impl=impl) if impl else x, aux, impls[0])
    return SweepResult(tx, values, seeds, losses, aux)


def _values(tx: GradientTransformation, grid: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The values to try by name, checked against the range of the hyperparameter and by building the transform."""
    if not isinstance(grid, Mapping):
        raise GradtxTypeError(f"grid: expected a dict from hyperparameter names to values, got {short(grid)}")
    found = {name: _tried(name, given) for name, given in grid.items()}
    places = {name: number_at(tx, name) for name in found}
    for name, (leaf, place) in places.items():
        other = next(other for other in places if places[other][0] == leaf)
        if other != name:
            raise GradtxValueError(f"{other!r} and {name!r} are names of the same hyperparameter")
        for index, number in enumerate(found[name].tolist()):
            if not place.range.allows(number):
                raise GradtxValueError(f"{name}: expected {place.range}, got {number!r} at position {index}")
            with at_stage(f"{name}[{index}]"):
                describe(with_numbers(tx, {name: number}))  # builds every part, so that each checks its own arguments
    return found


def _tried(name: str, given: Any) -> np.ndarray:
    array = np.asarray(given)
    if not (jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)):
        hint = "; it is a choice of structure: call sweep once for each" if array.dtype == bool else ""
        raise GradtxTypeError(f"{name}: expected a sequence of real numbers, got {short(given)}{hint}")
    if array.ndim != 1 or array.size == 0:
        raise GradtxValueError(f"{name}: expected a sequence of at least one number, got {short(given)}")
    # Through the shortest decimal representation in the given precision: float32(0.1) becomes 0.1.
    return np.asarray([float(str(number)) for number in array])


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, (int, np.integer)) and not isinstance(seeds, bool) and seeds > 0:
        return tuple(range(seeds))
    array = np.asarray(seeds)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        raise GradtxValueError(f"seeds: expected a positive int or a non-empty sequence of ints, got {seeds!r}")
    return tuple(array.tolist())


def _positive(name: str, number: int | None) -> int | None:
    if number is not None and (isinstance(number, bool) or not number > 0):
        raise GradtxValueError(f"{name}: expected a positive number or None, got {number!r}")
    return number


def _loss_and_aux(result: Any, has_aux: bool) -> tuple[Array, Any]:
    """The checked return value of `train` as a pair `(loss, aux)`, with the loss as an array."""
    if has_aux and not (isinstance(result, tuple) and len(result) == 2):
        raise GradtxTypeError(f"train: expected a pair (loss, aux) with has_aux=True, got {short(result)}")
    loss, aux = result if has_aux else (result, None)
    is_array = isinstance(loss, (int, float, np.ndarray, np.generic, jax.Array))
    if not is_array or jnp.shape(loss) != () or jnp.iscomplexobj(loss):
        got = (
            f"{jnp.result_type(loss)} of the shape {jnp.shape(loss)}; take the last or the mean"
            if is_array
            else short(loss)
        )
        hint = "; for a pair (loss, aux), pass has_aux=True" if isinstance(loss, tuple) else ""
        raise GradtxTypeError(f"train: expected the loss, a real 0-d array, got {got}{hint}")
    return jnp.asarray(loss, float), aux


def _spare_memory() -> int:
    """Half of the free memory of the default device; 2 GiB if the device does not report it."""
    stats = jnp.zeros(()).devices().pop().memory_stats() or {}
    return (stats["bytes_limit"] - stats["bytes_in_use"]) // 2 if "bytes_limit" in stats else 2**31


def _fitted(
    run: Any, data: list[Any], points: Array, keys: Array, limit: float, bound: int
) -> tuple[Callable[..., list[Array]], list[Block]]:
    """The program, compiled for as many runs per call as the limits allow, and the blocks of runs to pass to it."""
    runs = min(limit, len(points) * len(keys))
    while True:
        blocks = _blocks(len(points), len(keys), int(runs))
        rows, columns = blocks[0]
        program = run.lower(data, points[rows], keys[columns]).compile()
        memory, runs = program.memory_analysis(), len(rows) * len(columns)
        needed = memory.temp_size_in_bytes + memory.output_size_in_bytes if memory else 0
        if needed <= bound or runs == 1:
            return program, blocks
        runs = max(1, min(runs - 1, runs * bound // needed))


def _blocks(points: int, seeds: int, runs: int) -> list[Block]:
    """All runs in blocks of equal shape, with at most `runs` runs per block.

    A block holds complete grid points (all seeds) if at least one point fits. The last blocks are padded with the last
    run, which is then computed more than once.
    """
    return list(itertools.product(_slices(points, max(1, runs // seeds)), _slices(seeds, min(runs, seeds))))


def _slices(length: int, size: int) -> list[np.ndarray]:
    """The indices below `length` in slices of equal size, at most `size`; the last is padded with the last index."""
    size = math.ceil(length / math.ceil(length / size))
    return [np.minimum(np.arange(start, start + size), length - 1) for start in range(0, length, size)]


def _followed(blocks: list[Block], say: Callable[[str], None]) -> Iterator[Block]:
    """Iterates over the blocks and shows a progress bar with the remaining time."""
    began, width = time.perf_counter(), 30
    for done, block in enumerate(blocks):
        passed = time.perf_counter() - began
        left = f", {passed / done * (len(blocks) - done):.0f} s left" if done else ""
        say(f"sweep: {'█' * (width * done // len(blocks)):·<{width}} {done}/{len(blocks)} chunks{left}")
        yield block
    say(f"sweep: {'█' * width} {len(blocks)}/{len(blocks)} chunks in {time.perf_counter() - began:.1f} s\n")

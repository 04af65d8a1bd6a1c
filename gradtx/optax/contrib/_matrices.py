"""Muon and GaLore, on gradtx's readings of arrays as matrices."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx._base.errors import GradtxTypeError, GradtxValueError, listing
from gradtx._base.typing import Array, Params, State, Updates
from gradtx.optax._adam_family import adamw
from gradtx.optax._combining import chain
from gradtx.optax._engine import with_state, without_state
from gradtx.optax._installed import as_in_optax
from gradtx.optax._masking import partition
from gradtx.optax._moments import first_moment, scale_by_adam
from gradtx.optax._numerics import canonical_dtype
from gradtx.optax._scaling import add_decayed_weights, scale_by_learning_rate
from gradtx.optax._states import EmaState, MaskedNode
from gradtx.optax._types import GradientTransformationExtraArgs as Pair
from gradtx.optax._types import MaskOrFn, ScalarOrSchedule

STANDARD = (3.4445, -4.7750, 2.0315)
PRESETS = {
    "standard": STANDARD,
    "dion": (
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
}
PRECONDITIONINGS = ("frobenius", "spectral", "aol", "schatten")


@as_in_optax
class MuonDimensionNumbers(NamedTuple):
    """Which axes of an array are the inputs of a matrix, and which its outputs; the others are a batch."""

    reduction_axis: Any = 0
    output_axis: Any = 1


@as_in_optax
class GaLoreDimensionNumbers(NamedTuple):
    """Which axes of an array are the inputs of a matrix, and which its outputs."""

    reduction_axis: Any = 0
    output_axis: Any = 1


GaLoreState: TypeAlias = Any  # gradtx's own


@as_in_optax
class MuonState(NamedTuple):
    count: Any
    mu: Any
    ns_coeffs: Any


def _is_numbers(x: Any) -> bool:
    return isinstance(x, (MuonDimensionNumbers, GaLoreDimensionNumbers))


def _reading(numbers: Any, x: Array) -> Any:
    """The `gradtx.matrix` of dimension numbers."""
    if x.ndim < 2:
        raise GradtxValueError(f"expected an array with two axes or more as a matrix, got the shape {x.shape}")
    sides = []
    for axes in numbers:
        found = [axis % x.ndim - x.ndim for axis in ((axes,) if isinstance(axes, int) else axes)]
        sides.append(tuple(found) if len(found) > 1 else found[0])
    return gx.matrix(*sides)


def _per_leaf(numbers: Any, params: Params) -> Any:
    """The dimension numbers of each array, a tree like the parameters; None for what is not a matrix."""
    given = numbers(params) if callable(numbers) else numbers
    if given is None:
        return jax.tree.map(lambda x: MuonDimensionNumbers() if x.ndim == 2 else None, params)
    if _is_numbers(given):
        return jax.tree.map(lambda x: given if x.ndim >= 2 else None, params)

    def spread(own: Any, below: Any) -> Any:
        return below if isinstance(below, MaskedNode) else jax.tree.map(lambda x: own, below)

    is_leaf = lambda x: x is None or _is_numbers(x) or isinstance(x, MaskedNode)
    return jax.tree.map(spread, given, params, is_leaf=is_leaf)


def _axes(numbers: Any) -> Callable[[Params], Any]:
    """The readings of arrays as matrices, for `gradtx.as_matrices`."""

    def readings(params: Params) -> Any:
        found = _per_leaf(numbers, params)
        read = lambda x, own: "rest" if own is None else _reading(own, x)
        return jax.tree.map(read, params, found)

    return readings


def _rows(ns_coeffs: Any, ns_steps: int) -> tuple[tuple[float, ...], ...]:
    if isinstance(ns_coeffs, str):
        if ns_coeffs not in PRESETS:
            raise GradtxValueError(f"ns_coeffs: expected one of {listing(PRESETS)}, or numbers, got {ns_coeffs!r}")
        ns_coeffs = PRESETS[ns_coeffs]
    table = [ns_coeffs] * ns_steps if jnp.ndim(jnp.asarray(ns_coeffs)) == 1 else list(ns_coeffs)
    if any(len(row) != 3 for row in table):
        raise GradtxValueError(f"ns_coeffs: expected three numbers, or rows of three, got {ns_coeffs!r}")
    if len(table) > ns_steps:
        table = table[-ns_steps:]
    return tuple(tuple(map(float, row)) for row in table)


def scale_by_muon(
    ns_coeffs: Any = STANDARD,
    ns_steps: int = 5,
    beta: Any = 0.95,
    eps: Any = 1e-8,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Any = None,
) -> Pair:
    """Orthogonalized momentum: `gradtx.orthogonalize`.

    Matrices are divided by their Frobenius norm before the first polynomial, whatever `preconditioning` says, and
    without `eps`: zero stays zero.
    """
    if preconditioning not in PRECONDITIONINGS:
        raise GradtxValueError(f"preconditioning: expected one of {listing(PRECONDITIONINGS)}, got {preconditioning!r}")
    rows = _rows(ns_coeffs, ns_steps)
    momentum = with_state(first_moment(beta, nesterov), EmaState, "ema", dtypes={"ema": canonical_dtype(mu_dtype)})
    orthogonal = gx.as_matrices(gx.orthogonalize(len(rows), method=rows), _axes(weight_dimension_numbers))

    def init(params: Params) -> State:
        own = momentum.init(params)
        return MuonState(own.count, own.ema, jnp.asarray(rows if len(set(rows)) > 1 else rows[0]))

    def update(updates: Updates, state: Any, params: Params = None, **extra: Any) -> tuple[Updates, State]:
        mean, own = momentum.update(updates, EmaState(state.count, state.mu))
        out, _ = orthogonal.update(mean, orthogonal.init(mean))
        if adaptive:
            out = jax.tree.map(lambda m, o: jnp.sum(m.conj() * o) * o, mean, out)
        return out, MuonState(own.count, own.ema, state.ns_coeffs)

    return Pair(init, update)


def scale_by_shape(weight_dimension_numbers: Any = None, consistent_rms: Any = None) -> Pair:
    """Scales orthogonal matrices by their shape: `gradtx.scale_by_shape`."""
    if consistent_rms is None:
        rule = gx.scale_by_shape("original")
    else:
        rule = gx.scale_by_shape("match_rms_adamw", consistent_rms / 0.2)
    return without_state(gx.as_matrices(rule, _axes(weight_dimension_numbers)))


def muon(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Any = STANDARD,
    ns_steps: int = 5,
    beta: Any = 0.95,
    eps: Any = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_decay_mask: MaskOrFn = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: str = "frobenius",
    adam_b1: Any = 0.9,
    adam_b2: Any = 0.999,
    adam_eps_root: Any = 0.0,
    adam_weight_decay: ScalarOrSchedule = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    muon_weight_dimension_numbers: Any = None,
    consistent_rms: Any = None,
) -> Pair:
    """Muon for matrices, AdamW for the rest; `gradtx.muon` tells them apart by names and shapes."""
    numbers = muon_weight_dimension_numbers

    def labels(params: Params) -> Any:
        found = _per_leaf(numbers, params)
        return jax.tree.map(lambda x, own: "adam" if own is None else "muon", params, found)

    direction = scale_by_muon(
        ns_coeffs,
        ns_steps,
        beta,
        eps,
        mu_dtype,
        nesterov=nesterov,
        adaptive=adaptive,
        preconditioning=preconditioning,
        weight_dimension_numbers=numbers,
    )
    rest_rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    of_matrices = chain(
        direction,
        scale_by_shape(numbers, consistent_rms),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )
    rest = adamw(
        rest_rate, adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, weight_decay=adam_weight_decay, nesterov=nesterov
    )
    return partition({"muon": of_matrices, "adam": rest}, labels)


def scale_by_galore(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    base_optimizer: Any = None,
    weight_dimension_numbers: Any = None,
) -> Pair:
    """A transform of matrices' projections: `gradtx.low_rank`, which projects the shorter side; with its own state."""
    if not isinstance(rank, int):
        raise GradtxTypeError(f"rank: expected a whole number, got {rank!r}")
    inner = gx.chain(scale_by_adam() if base_optimizer is None else base_optimizer)
    axes = _axes(weight_dimension_numbers)
    matrices = gx.as_matrices(gx.low_rank(inner, rank, update_proj_gap, scale), axes)

    def labels(params: Params) -> Any:
        found = _per_leaf(weight_dimension_numbers, params)
        return jax.tree.map(lambda x, own: "rest" if own is None else "matrices", params, found)

    return Pair(*gx.partition({"matrices": matrices, "rest": inner}, labels, allow_unused=True))


def galore(
    learning_rate: ScalarOrSchedule,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: float = 1.0,
    base_optimizer: Any = None,
    weight_decay: Any = 0.0,
    mask: MaskOrFn = None,
    weight_dimension_numbers: Any = None,
) -> Pair:
    """GaLore; `gradtx.galore_adamw`."""
    direction = scale_by_galore(rank, update_proj_gap, scale, base_optimizer, weight_dimension_numbers)
    return chain(direction, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))

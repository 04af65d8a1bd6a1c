"""Converts the `state_dict()` of a PyTorch optimizer to a gradtx state.

    checkpoint = torch.load("optimizer.pt", map_location="cpu")    # {"state": {0: {...}, ...}, "param_groups": [...]}
    order = ["dense/kernel", "dense/bias"]                         # the parameter paths, in PyTorch's order
    state = gradtx.interop.torch.load_optimizer_state(checkpoint, gradtx.adamw(1e-3), params, order, arrange)

Any object with `__array__` or `.numpy()` is accepted as an array. PyTorch is not imported.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.calls import explains_calls
from gradtx._base.counterparts import PARTS_FOR_ARGUMENTS
from gradtx._base.errors import GradtxTypeError, GradtxValueError, at_stage, listing, short
from gradtx._base.typing import Array, Params, State
from gradtx._core.protocol import GradientTransformation, as_transformation
from gradtx._core.scheduled import Scheduled, read_schedules
from gradtx._inspection.state_dict import in_place_of, names
from gradtx._inspection.walking import shares, unfolded, unscheduled
from gradtx._optimizers.adagrad import adadelta, scale_by_rss
from gradtx._optimizers.adam import scale_by_adam, scale_by_adamax
from gradtx._optimizers.amsgrad import scale_by_amsgrad
from gradtx._optimizers.radam import scale_by_radam
from gradtx._optimizers.rmsprop import scale_by_rms
from gradtx._primitives.accumulate import add_momentum
from gradtx._values.registry import Spec
from gradtx.interop._clocks import clocks
from gradtx.interop._specs import spec_of

__all__ = [
    "load_optimizer_state",
]


def __dir__() -> list[str]:
    return __all__


FIELDS: dict[Spec, dict[str, str]] = {
    spec_of(scale_by_adam): {"exp_avg": "numerator/scale_by_ema", "exp_avg_sq": "denominator/scale_by_ema"},
    spec_of(scale_by_amsgrad): {
        "exp_avg": "numerator/scale_by_ema",
        "exp_avg_sq": "denominator/scale_by_ema",
        "max_exp_avg_sq": "denominator/running_max",
    },
    spec_of(scale_by_radam): {"exp_avg": "numerator/scale_by_ema", "exp_avg_sq": "denominator/scale_by_ema"},
    spec_of(scale_by_adamax): {"exp_avg": "numerator/scale_by_ema", "exp_inf": "denominator/running_max"},
    spec_of(scale_by_rms): {"square_avg": "denominator/scale_by_ema"},
    spec_of(scale_by_rss): {"sum": "denominator/running_sum"},
    spec_of(adadelta): {"square_avg": "ratio/denominator/scale_by_ema", "acc_delta": "scale_by_update_rms"},
    spec_of(add_momentum): {"momentum_buffer": ""},
}
"""Per factory, PyTorch's fields of a parameter and the path of each within the gradtx transform."""

ONLY: dict[Spec, tuple[str, Any, str]] = {
    spec_of(scale_by_amsgrad): ("corrected", False, "PyTorch takes the maximum before the bias correction")
}
"""Per factory, an argument, the only value of it that PyTorch supports, and the reason."""


@explains_calls("interop.torch.load_optimizer_state")
def load_optimizer_state(
    state_dict: Mapping[str, Any],
    tx: GradientTransformation,
    params: Params,
    order: Sequence[str],
    arrange: Callable[[str, np.ndarray], Any] = lambda path, array: array,
    step: int | None = None,
) -> State:
    """Converts the state of a PyTorch optimizer to a state of `tx`, so that training continues with gradtx.

    Args:
        state_dict: the return value of the optimizer's `state_dict()`: the states of the parameters by index under
            `state`, and the indices of the parameters, in groups, under `param_groups`.
        tx: the same optimizer made with gradtx: `adam`, `adamw`, `amsgrad(..., corrected=False)`, `sgd` with momentum,
            `rmsprop(..., 0.99)` (not centred), `adagrad(..., 0.0, 1e-10)`, `adadelta`, `adamax`, `radam`, in chains or
            partitions. For weight decay that PyTorch adds to the gradient, use `chain(add_decayed_weights(...),
            sgd(...))`. Check the other hyperparameters, because PyTorch's defaults differ for some of them. PyTorch
            adds the `eps` of RAdam before the bias correction, and the `eps` of Adamax to each magnitude.
        params: the gradtx parameters.
        order: the paths of the parameters (`trees.paths(params)`), in the order in which PyTorch got them.
        arrange: `(path, array) -> array`, converts PyTorch's layout to yours, for example the transpose of the weights
            of a `Linear`. It is called for each stored array of the parameter at the path.
        step: the number of steps so far, for schedules, if PyTorch does not store it (SGD).

    Returns:
        The state of `tx`. Arrays are copied, with the dtypes and devices of `tx.init(params)`.

    Raises:
        GradtxTypeError: `state_dict` is not a dict with the key `state`.
        GradtxValueError: `order` does not match the parameters or the state; an array of `tx` is missing, or an array
            of PyTorch has no counterpart in `tx`; a shape differs; parameters have different step counts; or an option
            of PyTorch has no counterpart (`dampening`, `maximize`).
    """
    tx = as_transformation(tx)
    template = tx.init(params)
    leaves, treedef = jax.tree.flatten(template)
    numbered = treedef.unflatten(range(len(leaves)))
    with at_stage("load_optimizer_state"):
        checkpoint = _Checkpoint(state_dict, params, order, arrange, step)
        found = checkpoint.read(tx, numbered)
        for clock, place in clocks(tx, numbered):
            found |= {index: leaf(checkpoint.steps("the bias correction")) for index, leaf in clock.recipes(place)}
        named = names(tx, template)
        lacking = [name for index, name in enumerate(named) if index not in found]
        if lacking:
            raise GradtxValueError(f"the PyTorch state has no counterpart for {listing(lacking)} of {tx.factory_name}")
        unused = sorted(checkpoint.fields - checkpoint.used - {"step"})
        if unused:
            raise GradtxValueError(f"{tx.factory_name} has no counterpart for {listing(unused)} of the PyTorch state")
        moved = [in_place_of(old, found[index], repr(named[index])) for index, old in enumerate(leaves)]
    return treedef.unflatten(moved)


class _Checkpoint:
    """The state of a PyTorch optimizer, indexed by parameter path.

    Attributes:
        fields: the names of all fields that PyTorch stores.
        used: the names of the fields that were read.
    """

    def __init__(self, state_dict: Mapping[str, Any], params: Params, order: Sequence[str], arrange: Any, step: Any):
        if not isinstance(state_dict, Mapping) or not isinstance(state_dict.get("state"), Mapping):
            raise GradtxTypeError(
                f"expected the dict that an optimizer's state_dict() returns, with the key 'state', got "
                f"{short(state_dict)}"
            )
        states, groups = state_dict["state"], state_dict.get("param_groups", ())
        _refuse_options(groups)
        numbers = [number for group in groups for number in group["params"]] or list(states)
        expected, given = trees.paths(params), list(order)
        if sorted(expected) != sorted(given):
            raise GradtxValueError(f"order: expected each of {listing(expected)} once, got {listing(given)}")
        if len(numbers) != len(given):
            raise GradtxValueError(f"expected {len(given)} parameters in the PyTorch state, got {len(numbers)}")
        self._states = {path: states.get(number, {}) for path, number in zip(given, numbers, strict=True)}
        self._arrange = arrange
        self._given_step = step
        self.fields = {name for state in self._states.values() for name, x in state.items() if x is not None}
        self.used: set[str] = set()

    def read(self, tx: GradientTransformation, state: State) -> dict[int, Any]:
        """The new arrays of `tx`, by the leaf indices in `state`."""
        own, found = unscheduled(state), {}
        with at_stage(tx.factory_name):
            if isinstance(state, Scheduled):
                count = self.steps(f"the schedules of {tx.factory_name}")
                found[state.count] = count
                values = read_schedules(tx, jnp.maximum(count - 1, 0))
                found |= dict(zip(jax.tree.leaves(state.values), jax.tree.leaves(values), strict=True))
            if tx._spec in FIELDS:
                return found | self._moments(tx, own)
            if (whole := unfolded(tx)) is not None:
                return found | self.read(whole, own)
            for inner, _, inner_state in shares(tx, own):
                found |= self.read(inner, inner_state)
        return found

    def steps(self, who: str) -> Array:
        """The number of steps so far, int32; error messages say that it is for `who`."""
        counts = {int(_numpy(state["step"])) for state in self._states.values() if "step" in state}
        if len(counts) > 1:
            raise GradtxValueError(
                f"expected one step count for all parameters, got {listing(sorted(counts))}; gradtx keeps a single one"
            )
        if not counts and self._given_step is None:
            raise GradtxValueError(f"expected a step count for {who}, got none in the PyTorch state; pass step=...")
        return jnp.asarray(counts.pop() if counts else self._given_step, jnp.int32)

    def _moments(self, tx: GradientTransformation, state: State) -> dict[int, Any]:
        if tx._spec in ONLY:
            argument, value, reason = ONLY[tx._spec]
            if tx.arguments[argument] != value:
                raise GradtxValueError(f"{reason}; use {argument}={value!r}")
        found, named = {}, zip(names(tx, state), jax.tree.leaves(state), strict=True)
        starts = {"/".join(filter(None, (tx.factory_name, place))): field for field, place in FIELDS[tx._spec].items()}
        for name, index in named:
            for start, field in starts.items():
                if f"{name}/".startswith(f"{start}/"):
                    found[index] = self._array(name[len(start) + 1 :] or "(root)", field)
        return found

    def _array(self, path: str, field: str) -> Any:
        self.used.add(field)
        stored = self._states[path]
        if stored.get(field) is None:
            raise GradtxValueError(
                f"expected {field} for {path!r} in the PyTorch state, got {listing(stored) or 'nothing'}; it is the "
                f"state of another optimizer, or PyTorch made no step with this parameter"
            )
        return self._arrange(path, _numpy(stored[field]))


def _refuse_options(groups: Sequence[Mapping[str, Any]]) -> None:
    for group in groups:
        for name in ("dampening", "maximize"):
            if group.get(name):
                option = f"{name}={group[name]}"
                raise GradtxValueError(
                    f"gradtx has no counterpart for PyTorch's option {option}; {PARTS_FOR_ARGUMENTS[name]}"
                )


def _numpy(x: Any) -> np.ndarray:
    if hasattr(x, "detach"):  # a PyTorch tensor on any device; NumPy has no bfloat16
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x
    return np.asarray(x if hasattr(x, "__array__") or not hasattr(x, "numpy") else x.numpy())

"""The state of a PyTorch optimizer, as its `state_dict()` has it, as a gradtx state.

    checkpoint = torch.load("optimizer.pt", map_location="cpu")    # {"state": {0: {...}, ...}, "param_groups": [...]}
    order = ["dense/kernel", "dense/bias"]                         # the parameters, in PyTorch's order
    state = gradtx.interop.torch.load_optimizer_state(checkpoint, gradtx.adamw(1e-3), params, order, arrange)

Anything with `__array__` or `.numpy()` is an array here; PyTorch itself is not imported.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._base import trees
from gradtx._base.errors import GradtxTypeError, GradtxValueError, at_stage, listing, short
from gradtx._base.typing import Array, Params, State
from gradtx._core.parts import parts, share
from gradtx._core.protocol import GradientTransformation, Scheduled, _read, as_transformation, unfolded, unscheduled
from gradtx._inspection.state_dict import in_place_of, names
from gradtx.interop._clocks import clocks

FIELDS = {
    "scale_by_adam": {"exp_avg": "numerator/scale_by_ema", "exp_avg_sq": "denominator/scale_by_ema"},
    "scale_by_amsgrad": {
        "exp_avg": "numerator/scale_by_ema",
        "exp_avg_sq": "denominator/scale_by_ema",
        "max_exp_avg_sq": "denominator/running_max",
    },
    "scale_by_radam": {"exp_avg": "numerator/scale_by_ema", "exp_avg_sq": "denominator/scale_by_ema"},
    "scale_by_adamax": {"exp_avg": "numerator/scale_by_ema", "exp_inf": "denominator/running_max"},
    "scale_by_rms": {"square_avg": "denominator/scale_by_ema"},
    "scale_by_rss": {"sum": "denominator/running_sum"},
    "adadelta": {"square_avg": "ratio/denominator/scale_by_ema", "acc_delta": "scale_by_update_rms"},
    "add_momentum": {"momentum_buffer": ""},
}
"""For the transforms of gradtx the fields that PyTorch has for a parameter, and where they are within the transform."""

ONLY = {"scale_by_amsgrad": ("corrected", False, "PyTorch keeps the largest moment before its correction")}
"""The argument with which PyTorch has a transform, and why."""


def load_optimizer_state(
    state_dict: Mapping[str, Any],
    tx: GradientTransformation,
    params: Params,
    order: Sequence[str],
    arrange: Callable[[str, np.ndarray], Any] = lambda path, array: array,
    step: int | None = None,
) -> State:
    """The state of `tx` that goes on where an optimizer of PyTorch has come to.

    Args:
        state_dict: what the optimizer's `state_dict()` returned: the states of the parameters by number under `state`,
            and the numbers of the parameters, in groups, under `param_groups`.
        tx: the same optimizer made with gradtx: `adam`, `adamw`, `amsgrad(..., corrected=False)`, `sgd` with momentum,
            `rmsprop(..., 0.99)`, not centred, `adagrad(..., 0.0, 1e-10)`, `adadelta`, `adamax`, `radam`, in chains or
            partitions; where PyTorch adds weight decay to the gradient, `chain(add_decayed_weights(...), sgd(...))`.
            Check the other numbers: the defaults of PyTorch are not always these. It adds RAdam's `eps` before the
            bias correction, and Adamax's to each magnitude.
        params: the parameters of gradtx.
        order: their paths, as `trees.paths(params)` has them, in the order in which PyTorch got its parameters.
        arrange: `(path, array) -> array` from PyTorch's layout to yours, such as the transpose for the weights of a
            `Linear`. It gets what is stored for the parameter at the path.
        step: how many steps were made, for schedules, where PyTorch does not store it (SGD).

    Returns:
        The state. Arrays are copied, in the dtypes and on the devices of `tx.init(params)`.

    Raises:
        GradtxValueError: the order does not fit the parameters or the state; something is missing, or there for what
            `tx` does not store; a shape is another; parameters have made different numbers of steps; or an option of
            PyTorch has no counterpart (`dampening`, `maximize`).
    """
    tx = as_transformation(tx)
    template = tx.init(params)
    leaves, treedef = jax.tree.flatten(template)
    numbered = treedef.unflatten(range(len(leaves)))
    with at_stage("load_optimizer_state"):
        checkpoint = _Checkpoint(state_dict, params, order, arrange, step)
        found = checkpoint.read(tx, numbered)
        for clock, place in clocks(tx, numbered):
            found[jax.tree.leaves(place)[0]] = clock.from_count(checkpoint.steps("the bias correction"))
        named = names(tx, template)
        lacking = [name for index, name in enumerate(named) if index not in found]
        if lacking:
            raise GradtxValueError(
                f"nothing in the state of PyTorch is what {tx.factory_name} stores as {listing(lacking)}"
            )
        unused = sorted(checkpoint.fields - checkpoint.used - {"step"})
        if unused:
            raise GradtxValueError(f"PyTorch stores {listing(unused)}, and {tx.factory_name} stores no such thing")
        moved = [in_place_of(old, found[index], repr(named[index])) for index, old in enumerate(leaves)]
    return treedef.unflatten(moved)


class _Checkpoint:
    """The state of a PyTorch optimizer by the paths of the parameters.

    Attributes:
        fields: what is stored for the parameters.
        used: those of the fields that were read.
    """

    def __init__(self, state_dict: Mapping[str, Any], params: Params, order: Sequence[str], arrange: Any, step: Any):
        if not isinstance(state_dict, Mapping) or not isinstance(state_dict.get("state"), Mapping):
            raise GradtxTypeError(
                f"the dict that an optimizer's state_dict() returns is wanted, with the key 'state', got "
                f"{short(state_dict)}"
            )
        states, groups = state_dict["state"], state_dict.get("param_groups", ())
        _refuse_options(groups)
        numbers = [number for group in groups for number in group["params"]] or list(states)
        wanted, given = trees.paths(params), list(order)
        if sorted(wanted) != sorted(given):
            raise GradtxValueError(
                f"the order must have each parameter once: it has {listing(given)}, and the parameters "
                f"are {listing(wanted)}"
            )
        if len(numbers) != len(given):
            raise GradtxValueError(f"the order has {len(given)} parameters, and PyTorch has {len(numbers)}")
        self._states = {path: states.get(number, {}) for path, number in zip(given, numbers, strict=True)}
        self._arrange = arrange
        self._given_step = step
        self.fields = {name for state in self._states.values() for name, x in state.items() if x is not None}
        self.used: set[str] = set()

    def read(self, tx: GradientTransformation, state: State) -> dict[int, Any]:
        """The arrays of `tx` by the numbers that stand in place of them in `state`."""
        own, found = unscheduled(state), {}
        with at_stage(tx.factory_name):
            if isinstance(state, Scheduled):
                count = self.steps(f"the schedules of {tx.factory_name}")
                found[state.count] = count
                values = _read(tx, jnp.maximum(count - 1, 0))
                found |= dict(zip(jax.tree.leaves(state.values), jax.tree.leaves(values), strict=True))
            if tx.factory_name in FIELDS:
                return found | self._moments(tx, own)
            if (whole := unfolded(tx)) is not None:
                return found | self.read(whole, own)
            for index, part in enumerate(parts(tx)):
                found |= self.read(as_transformation(part.transform), share(part, index, own))
        return found

    def steps(self, who: str) -> Array:
        """How many steps were made, int32; `who` needs to know."""
        counts = {int(_numpy(state["step"])) for state in self._states.values() if "step" in state}
        if len(counts) > 1:
            raise GradtxValueError(
                f"the parameters have made different numbers of steps: {listing(sorted(counts))}; here there is one "
                f"for all of them"
            )
        if not counts and self._given_step is None:
            raise GradtxValueError(f"PyTorch stores no number of steps, which {who} needs; give it as step=...")
        return jnp.asarray(counts.pop() if counts else self._given_step, jnp.int32)

    def _moments(self, tx: GradientTransformation, state: State) -> dict[int, Any]:
        argument, value, reason = ONLY.get(tx.factory_name, (None, None, ""))
        if argument is not None and tx.arguments[argument] != value:
            raise GradtxValueError(f"{reason}; take {argument}={value!r}")
        found, named = {}, zip(names(tx, state), jax.tree.leaves(state), strict=True)
        starts = {
            "/".join(filter(None, (tx.factory_name, place))): field for field, place in FIELDS[tx.factory_name].items()
        }
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
                f"PyTorch stores no {field} for {path!r}; it has {listing(stored) or 'nothing'} there: it is another "
                f"optimizer, or has made no step with that parameter"
            )
        return self._arrange(path, _numpy(stored[field]))


def _refuse_options(groups: Sequence[Mapping[str, Any]]) -> None:
    for group in groups:
        for name in ("dampening", "maximize"):
            if group.get(name):
                raise GradtxValueError(
                    f"PyTorch was run with {name}={group[name]}, for which gradtx has no counterpart"
                )


def _numpy(x: Any) -> np.ndarray:
    if hasattr(x, "detach"):  # a tensor, on any device; NumPy has no bfloat16
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x
    return np.asarray(x if hasattr(x, "__array__") or not hasattr(x, "numpy") else x.numpy())

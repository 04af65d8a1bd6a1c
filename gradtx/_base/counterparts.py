"""What other libraries call what gradtx has: for the error where somebody looks for it under their name."""

import difflib
from collections.abc import Iterable
from typing import Any

from gradtx._base.errors import listing
from gradtx._base.optax_names import OPTAX

COUNTERPARTS = {
    **OPTAX,
    # PyTorch and Keras: classes of optimizers, averages and schedulers.
    "SGD": "sgd(learning_rate, momentum), and tx.init(params)",
    "Adam": "adam(learning_rate), and tx.init(params)",
    "AdamW": "adamw(learning_rate, weight_decay=...), and tx.init(params)",
    "Adamax": "adamax(learning_rate)",
    "NAdam": "nadam(learning_rate)",
    "Nadam": "nadam(learning_rate)",
    "RAdam": "radam(learning_rate)",
    "RMSprop": "rmsprop(learning_rate)",
    "RMSProp": "rmsprop(learning_rate)",
    "Adagrad": "adagrad(learning_rate)",
    "AdaGrad": "adagrad(learning_rate)",
    "AdaMax": "adamax(learning_rate)",
    "Adadelta": "adadelta(learning_rate)",
    "Adafactor": "adafactor(learning_rate)",
    "ASGD": "average_params(sgd(learning_rate))",
    "Rprop": "rprop(learning_rate)",
    "Lion": "lion(learning_rate)",
    "Lamb": "lamb(learning_rate)",
    "LAMB": "lamb(learning_rate)",
    "LossScaleOptimizer": "skip_nonfinite(tx), around gradients that are divided by the scale of the loss",
    "AveragedModel": "average_params(tx)",
    "EMA": "average_params(tx, decay)",
    "clip_grad_norm_": "clip_by_global_norm(max_norm)",
    "clip_grad_value_": "clip(max_delta)",
    "CosineAnnealingLR": "schedules.cosine_decay(init_value, steps)",
    "CosineAnnealingWarmRestarts": "schedules.cosine_restarts",
    "StepLR": "schedules.exponential_decay(..., staircase=True)",
    "MultiStepLR": "schedules.piecewise_constant(values, steps)",
    "ExponentialLR": "schedules.exponential_decay",
    "OneCycleLR": "schedules.one_cycle(peak_value, warmup_steps, decay_steps)",
    "LambdaLR": "Schedule(function of the step)",
    "LinearLR": "schedules.linear(init_value, end_value, steps)",
    "PolynomialLR": "schedules.polynomial(init_value, end_value, power, steps)",
    "SequentialLR": "schedules.join(schedules, steps), where steps are durations",
    "ConstantLR": "schedules.piecewise_constant(values, steps)",
    "CyclicLR": "Schedule(function of the step)",
    "SWALR": "schedules.join(schedules, steps)",
    "GradScaler": "skip_nonfinite(tx), around gradients that are divided by the scale of the loss",
    "LBFGS": "lbfgs(), and minimize(loss, lbfgs(), params)",
    "NoamOpt": "schedules.inverse_sqrt(init_value, steps)",
    "ReduceLROnPlateau": "reduce_on_plateau(factor, patience), with one more than PyTorch's patience",
    # Names that gradtx had, or that are near.
    "clip_by_value": "clip(max_delta)",
    "SAM": "sharpness_aware(tx, rho)",
    "ExponentialMovingAverage": "average_params(tx, decay)",
    "additive_weight_decay": "add_decayed_weights(weight_decay)",
    "multi_steps": "accumulate_gradients(tx, every)",
    "clip_by_norm": "clip_by_block_norm(max_norm), or clip_by_global_norm(max_norm)",
    "apply_gradients": "make_train_step(loss, tx), or apply_updates(params, updates)",
    "update": "tx.update(updates, state, params)",
    "init": "tx.init(params)",
}
"""By the name in another library, what to write here."""

ARGUMENTS = {
    "lr": "learning_rate",
    "weight_decay_mask": "mask",
    "mask": "weight_decay_mask",
    "step_size": "learning_rate",
    "eta": "learning_rate",
    "betas": "b1 and b2",
    "beta1": "b1",
    "beta2": "b2",
    "beta_1": "b1",
    "beta_2": "b2",
    "epsilon": "eps",
    "alpha": "decay",
    "rho": "decay",
    "beta": "decay",
    "etas": "eta_minus and eta_plus",
    "wd": "weight_decay",
    "k": "every",
    "every_k_schedule": "every",
    "max_consecutive_errors": "max_consecutive",
    "threshold": "rtol",
    "T_max": "steps",
    "decay_steps": "steps",
    "transition_steps": "steps",
    "gamma": "decay_rate",
    "step_size_up": "steps",
    "grads": "updates",
    "gradients": "updates",
    "opt_state": "state",
    "optimizer_state": "state",
    "parameters": "params",
    "x0": "params",
    "init_params": "params",
    "loss": "loss_fn",
    "fun": "loss_fn",
    "f": "loss_fn",
    "optimizer": "tx",
    "transform": "tx",
    "solver": "tx",
    "inner": "tx",
    "maxiter": "max_steps",
    "max_iter": "max_steps",
    "tol": "gtol",
    "atol": "gtol",
    "state_dict": "d",
}
"""By the name of an argument in another library, or in another factory, the names here where there is one of them."""

PARTS_FOR_ARGUMENTS = {
    "weight_decay": "chain(add_decayed_weights(weight_decay), tx) adds it to the gradient; adamw has it apart",
    "amsgrad": "amsgrad(learning_rate) is an optimizer of its own",
    "nesterov": "nesterov(learning_rate, momentum) and nadam(learning_rate) are optimizers of their own",
    "momentum": "chain(add_momentum(decay), tx) puts it before the optimizer",
    "dampening": "chain(scale(1 - dampening), tx) is dampening from the first step on",
    "momentum_decay": "nadam(learning_rate) has a constant momentum",
    "lr_decay": "a schedule as the learning rate: schedules.inverse_time_decay(learning_rate, lr_decay)",
    "decoupled_weight_decay": "adamw(learning_rate, weight_decay=...) has it",
    "loss_scale_factor": "chain(scale(1 / factor), tx) divides the gradients of a loss that was multiplied",
    "ema_momentum": "average_params(tx, decay) is a wrapper of its own",
    "adjust_lr_fn": "rule= says how a matrix is scaled by its shape",
    "min_lr": "min_scale, as a part of the learning rate",
    "eta_min": "alpha, as a part of the first value",
    "maximize": "gradients that ascend: chain(scale(-1), tx)",
    "clipnorm": "chain(clip_by_block_norm(max_norm), tx) clips before the optimizer",
    "global_clipnorm": "chain(clip_by_global_norm(max_norm), tx) clips before the optimizer",
    "clipvalue": "chain(clip(max_delta), tx) clips before the optimizer",
    "mu_dtype": "store(tx, codecs.bfloat16) keeps the state in 16 bits",
    "accumulator_dtype": "store(tx, codecs.bfloat16) keeps the state in 16 bits",
    "use_ema": "average_params(tx, decay) is a wrapper of its own",
    "mask": "masked(tx, mask) applies a transform to some of the parameters",
    "foreach": "all arrays are compiled into one program",
    "fused": "all arrays are compiled into one program",
}
"""By the name of an argument in another library, what stands in its place here."""

METHODS = {
    "step": "call step = make_train_step(loss, tx); or tx.update and apply_updates(params, updates)",
    "minimize": "call step = make_train_step(loss, tx)",
    "apply_gradients": "call updates, state = tx.update(grads, state, params), then apply_updates(params, updates)",
    "apply": "call tx.update(updates, state, params)",
    "zero_grad": "gradients are arguments of tx.update, and there is nothing to reset",
    "state_dict": "call state_dict(tx, state)",
    "load_state_dict": "call load_state_dict(tx, params, names)",
    "param_groups": "groups of parameters are made by partition(transforms, labels)",
    "add_param_group": "groups of parameters are made by partition(transforms, labels)",
    "lr": "its argument is learning_rate",
    "get_config": "call to_config(tx)",
    "from_config": "call from_config(config)",
    "init_fn": "call tx.init(params)",
    "update_fn": "call tx.update(updates, state, params)",
}
"""By the name of a method or attribute of optimizers in other libraries, what to do here."""


_OF_SCHEDULES = "a schedule has no state: give it to the optimizer, adam(schedule), or call schedule(step)"
METHODS_OF_SCHEDULES = {
    "step": _OF_SCHEDULES,
    "get_last_lr": _OF_SCHEDULES,
    "get_lr": _OF_SCHEDULES,
    "init": _OF_SCHEDULES,
    "update": _OF_SCHEDULES,
}
"""The same for schedules."""


def near(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant: one of the same letters, or a similar one of the same kind (`Adam`, `adam`)."""
    alike = [other for other in known if other.islower() == name.islower()]
    same = [other for other in alike if sorted(other) == sorted(name)]
    close = same or difflib.get_close_matches(name, alike, n=1, cutoff=0.7)
    return close[0] if close else None if name.islower() else near(name.lower(), known)


def no_argument(factory: str, name: str, known: Iterable[str]) -> str:
    """The message for an argument that a factory does not have, up to how it is called."""
    known = list(known)
    close = near(name, known)
    here = ARGUMENTS.get(name, "")
    if here and set(here.split(" and ")) <= set(known):
        hint = f"; here it is {here}"
    elif name in PARTS_FOR_ARGUMENTS:
        hint = f"; {PARTS_FOR_ARGUMENTS[name]}"
    else:
        hint = f"; did you mean {close!r}?" if close else ""
    return f"{factory} has no argument {name!r}{hint}"


def no_attribute(module: str, name: str, known: Iterable[str], others: Iterable[Any] = ()) -> str:
    """The message for a name that a module does not have, and perhaps one of the other modules does."""
    close = near(name, known)
    home = next((other.__name__ for other in others if name in other.__all__), None)
    if name in COUNTERPARTS:
        hint = f"; here it is {COUNTERPARTS[name]}"
        if name in OPTAX and module == "gradtx":
            hint += f"; as in Optax it is gradtx.optax.{name}"
    elif home is not None:
        hint = f"; it is {home}.{name}"
    else:
        names = sorted(known)
        hint = f"; did you mean {close!r}?" if close else f"; it has {listing(names)}" if len(names) < 20 else ""
    return f"module {module!r} has no attribute {name!r}{hint}"

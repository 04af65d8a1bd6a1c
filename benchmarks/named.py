"""The named optimizers, and an example of each: what the atlas shows, measures and trains."""

import inspect
from typing import Any

import gradtx as gx

EXAMPLES: dict[str, dict[str, Any]] = {"dpsgd": {"l2_norm_clip": 1.0, "noise_multiplier": 1.0}, "dion": {"rank": 8}}
"""Arguments without a default, besides the learning rate; the documentation shows them too."""


def optimizers() -> list[str]:
    """The named optimizers, without the directions that they are made of."""
    specs = {name: getattr(item, "spec", None) for name, item in vars(gx).items()}
    factories = [name for name, spec in specs.items() if spec and spec.body.__module__.startswith("gradtx._optimizers")]
    return sorted(name for name in factories if not name.startswith("scale_by_"))


def example(name: str) -> gx.GradientTransformation:
    """The optimizer with its defaults, and a learning rate of 1e-3 where one is needed."""
    parameters = inspect.signature(getattr(gx, name)).parameters
    needed = {key for key, parameter in parameters.items() if parameter.default is parameter.empty}
    rate = {"learning_rate": 1e-3} if "learning_rate" in needed else {}
    inner = {"inner": gx.sgd(1e-3)} if "inner" in needed else {}
    return getattr(gx, name)(**rate, **inner, **EXAMPLES.get(name, {}))

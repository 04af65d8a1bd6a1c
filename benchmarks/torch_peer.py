"""The same steps by PyTorch, where it is installed: its optimizers on the CPU, in the form that makes one pass."""

from collections.abc import Callable
from typing import Any

import jax

from benchmarks.optimizers import RATE

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"fused": True}),
    "momentum": ("SGD", {"momentum": 0.9, "fused": True}),
    "adam": ("Adam", {"fused": True}),
    "adamw": ("AdamW", {"weight_decay": 1e-4, "fused": True}),
    "bucketed adam": ("Adam", {"fused": True}),
    "bucketed adamw": ("AdamW", {"weight_decay": 1e-4, "fused": True}),
    "clip + adamw": ("AdamW", {"weight_decay": 1e-4, "fused": True}),
    "clip + bucketed adamw": ("AdamW", {"weight_decay": 1e-4, "fused": True}),
    "adafactor": ("Adafactor", {"foreach": True}),
    "rmsprop, centred": ("RMSprop", {"alpha": 0.9, "centered": True, "foreach": True}),
}


def going(torch: Any, name: str, params: Any) -> Callable[[], None] | None:
    """A function that makes one step, or None where PyTorch has no such optimizer. `torch` is the module."""
    if name not in OPTIMIZERS:
        return None
    factory, arguments = OPTIMIZERS[name]
    leaves = []
    for p in jax.tree.leaves(params):
        leaf = torch.full(p.shape, 0.01, dtype=getattr(torch, str(p.dtype)), requires_grad=True)
        leaf.grad = torch.full_like(leaf, 0.01)
        leaves.append(leaf)
    step = getattr(torch.optim, factory)(leaves, lr=RATE, **arguments).step

    def clipped() -> None:
        torch.nn.utils.clip_grad_norm_(leaves, 1.0)
        step()

    return clipped if name.startswith("clip") else step

"""Parameters that stay as they are."""

from collections.abc import Callable
from typing import Any

import jax

from gradtx._base.typing import Params
from gradtx.optax._masking import masked, partition
from gradtx.optax._scaling import set_to_zero
from gradtx.optax._types import GradientTransformationExtraArgs as Pair


def freeze(mask: Any) -> Pair:
    """Zeros where the mask is True."""
    return masked(set_to_zero(), mask)


def selective_transform(optimizer: Any, *, freeze_mask: Any) -> Pair:
    """Applies an optimizer where the mask is False, and zeros where it is True."""
    labels: Callable[[Params], Any] = lambda params: jax.tree.map(lambda m: "freeze" if m else "train", freeze_mask)
    return partition({"train": optimizer, "freeze": set_to_zero()}, labels)

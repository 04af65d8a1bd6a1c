"""The trees of parameters that are measured: shapes by name, as abstract arrays of one dtype."""

from typing import Any

import jax
import jax.numpy as jnp


def flat() -> dict[str, tuple[int, ...]]:
    """One array of 20 million numbers."""
    return {"all": (20_000_000,)}


def transformer(layers: int = 12, width: int = 384, words: int = 8192) -> dict[str, Any]:
    """A transformer of 193 leaves and 24 million parameters."""
    norm = {"scale": (width,), "bias": (width,)}
    square = {"kernel": (width, width), "bias": (width,)}
    block = {
        **dict.fromkeys(("query", "key", "value", "out"), square),
        "up": {"kernel": (width, 4 * width), "bias": (4 * width,)},
        "down": {"kernel": (4 * width, width), "bias": (width,)},
        "norm_1": norm,
        "norm_2": norm,
    }
    return {"embedding": (words, width), **{f"block_{index}": block for index in range(layers)}}


def resnet() -> dict[str, Any]:
    """The convolutions and norms of a ResNet-50: 161 leaves, 25.6 million parameters."""
    tree: dict[str, Any] = {"stem": {"kernel": (7, 7, 3, 64), "scale": (64,), "bias": (64,)}}
    channels = 64
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            kernels = {"1": (1, 1, channels, width), "2": (3, 3, width, width), "3": (1, 1, width, 4 * width)}
            if block == 0:
                kernels["skip"] = (1, 1, channels, 4 * width)
            tree[f"stage_{stage}_block_{block}"] = {
                name: {"kernel": shape, "scale": shape[-1:], "bias": shape[-1:]} for name, shape in kernels.items()
            }
            channels = 4 * width
    return {**tree, "head": {"kernel": (channels, 1000), "bias": (1000,)}}


def small() -> dict[str, tuple[int, ...]]:
    """2,000 leaves of 256 to 448 numbers."""
    return {f"leaf_{index}": (256 + 64 * (index % 4),) for index in range(2000)}


TREES = {make.__name__: make for make in (flat, transformer, resnet, small)}


def abstract(name: str, dtype: Any = jnp.float32) -> Any:
    """The tree of this name, of arrays that are not there."""
    shapes = TREES[name]()
    return jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, dtype), shapes, is_leaf=lambda x: isinstance(x, tuple)
    )

"""Memory kept in fewer bits."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._base.errors import GradtxTypeError, short
from gradtx._base.numerics import increment
from gradtx._base.typing import Array
from gradtx._core.constructors import lift
from gradtx._core.kernel import Begin, Clock, Flow, Kernel, Memory, Slot, Step
from gradtx._core.parts import is_transform
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx.codecs import Codec


class Stored(NamedTuple):
    """The state of `store`.

    Attributes:
        count: int32, the number of updates so far.
        inner: the state of the transform, its arrays encoded.
    """

    count: Any
    inner: Any


@transformation
def store(inner: Any, codec: Codec):
    r"""Keeps the memory of a transform encoded, in bfloat16 for instance.

    .. math:: m_t = step(g_t, decode(e_{t-1})), \quad e_t = encode(m_t), \quad u_t = emit(g_t, decode(e_t))

    It computes in float32, and what goes out is reckoned from what is kept. Of the arrays of `inner` that have one
    number for each of a parameter all are encoded: give it the part whose memory may be less exact. It distributes over
    what needs more than one array at a time: `store(chain(a, b), codec)` is `chain(store(a, codec), store(b, codec))`.

    Args:
        inner: a transform.
        codec: how arrays are kept: `codecs.bfloat16`.

    State: `Stored(count, inner)`: the state of `inner`, encoded, and one int32; one for each part where it distributes.

    Raises:
        GradtxTypeError: the codec is none, or `inner` is a bare pair, of which nobody knows what its arrays are.
    """
    if not isinstance(codec, Codec):
        raise GradtxTypeError(f"a codec is wanted, codecs.bfloat16 for instance, got {short(codec)}")
    inner = as_transformation(inner)
    return _distributed(inner, codec) if inner.kernel is None else lift(_encoded(inner.kernel, codec))


def _distributed(tx: GradientTransformation, codec: Codec) -> GradientTransformation:
    """`tx` with its parts stored, down to those that have a kernel."""
    if tx.kernel is not None:
        return store(tx, codec) if Slot.MEMORY in jax.tree.leaves(tx.kernel.layout) else tx
    if tx.expression is not None:
        return _distributed(tx.expression, codec)
    if tx._spec.factory is GradientTransformation:
        raise GradtxTypeError(
            f"{tx!r} is a bare pair: make it of parts, or with `memory`, to store its arrays in a codec"
        )

    def stored(x: Any) -> Any:
        return _distributed(as_transformation(x), codec) if is_transform(x) else x

    return tx.replace(**{name: jax.tree.map(stored, x, is_leaf=is_transform) for name, x in tx.arguments.items()})


def _encoded(kernel: Kernel, codec: Codec) -> Kernel:
    def start() -> tuple[Begin, Clock]:
        begin, clock = kernel.start()
        count = jnp.zeros((), jnp.int32)
        return lambda p: Stored(None, jax.tree.map(lambda m: codec.encode(m, count), begin(p))), Stored(count, clock)

    def tick(clock: Clock) -> tuple[Step, Clock]:
        inner, new = kernel.tick(clock.inner)

        def encode(x: Array) -> Array:
            return codec.encode(x, clock.count)

        def step(g: Flow, memory: Memory, p: Array | None) -> tuple[Flow, Memory]:
            storage = g.storage._replace(encode=encode, decode=codec.decode)
            u, kept = inner(g._replace(storage=storage), memory.inner, p)
            return g.to(u.value, u.again), Stored(None, kept)

        return step, Stored(increment(clock.count), new)

    return Kernel(Stored(Slot.CLOCK, kernel.layout), start, tick, kernel.needs_params)

"""State in lower precision."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx._base.errors import GradtxTypeError, short
from gradtx._base.numerics import increment
from gradtx._base.states import state_class
from gradtx._base.typing import Transform
from gradtx._core.compose import with_scalars
from gradtx._core.context import Encoding
from gradtx._core.protocol import GradientTransformation, as_transformation, transformation
from gradtx.codecs import Codec


@state_class
class Stored(NamedTuple):
    """The state of `store`.

    Attributes:
        count: int32, the number of updates so far.
        inner: the state of the transform, its arrays encoded.
    """

    count: Any
    inner: Any


@transformation(role="wrapper")
def store(inner: Transform, codec: Codec):
    r"""Encoded state: stores the state of a transform in lower precision, such as bfloat16 or 8 bits.

    .. math:: m_t = step(g_t, decode(e_{t-1})), \quad e_t = encode(m_t), \quad u_t = emit(g_t, decode(e_t))

    The transform computes in float32, and its output is computed from the stored state. Every params-shaped array of a
    primitive made by `memory` or `clocked_memory` is encoded, at any depth in `inner`: wrap only the part whose state
    may be less exact. What stays as it is: arrays that hold parameters, such as the slow ones of `lookahead` and
    the iterates of `schedule_free`, and a momentum that is rotated, as in `soap`, whose rounding error would spread to
    other coordinates. No derivatives flow through stored state.

    Args:
        inner: a transform.
        codec: the encoding: `codecs.bfloat16` or `codecs.float8`.

    State: `Stored(count, inner)`: the state of `inner`, encoded, and one int32.

    Raises:
        GradtxTypeError: the codec is not a codec, or `inner` is a bare pair, whose arrays have no known roles.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> params = {"kernel": jnp.ones((100, 128))}
        >>> for tx in (adam(1e-3), store(adam(1e-3), codecs.bfloat16), store(adam(1e-3), codecs.float8)):
        ...     print(sum(x.nbytes for x in jax.tree.leaves(tx.init(params))))
        102416
        51220
        26020
    """
    if not isinstance(codec, Codec):
        raise GradtxTypeError(f"expected a codec, codecs.bfloat16 or codecs.float8, got {short(codec)}")
    work = with_scalars(
        Stored,
        as_transformation(inner)._built(),
        start=lambda: (jnp.zeros((), jnp.int32),),
        advance=lambda own: (own, (increment(own[0]),)),
        within=lambda step, own: step._replace(encoding=Encoding(codec, own[0])),
    )
    if codec.mixes_axes:
        work = replace(work, leaf=None, mixes_axes=True)
    return GradientTransformation._of(work, as_transformation(inner)._built().stages)

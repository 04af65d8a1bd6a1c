"""Orthogonal matrices in place of gradients, and what goes with them: Muon's parts."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from gradtx import linalg
from gradtx._base.checks import whole_number
from gradtx._base.errors import GradtxValueError, short
from gradtx._base.numerics import align, safe_divide, weighted_mean
from gradtx._core.matrixwise import matrixwise
from gradtx._core.norms import norms_along
from gradtx._core.protocol import transformation
from gradtx._linalg.polar import polynomials_of
from gradtx._values.schedule import Decay, NonNegative


@transformation
def orthogonalize(steps: int = 5, lowest: float = 1e-3, method: Any = "polynomials", precision: str | None = None):
    r"""Orthogonalization: replaces the singular values of each matrix by 1, or brings them near.

    .. math:: g = U \Sigma V^H \mapsto u \approx U V^H

    The polynomials are the best for singular values between `lowest` and 1 times the norm of the matrix, and bring them
    into a band around 1, that of `linalg.minimax_polynomials(steps, lowest, cushion=0.0241)`: with 5 steps 0.876 to
    1.124, with 6 0.9988 to 1.0012. They do so at every scale of the gradient from 1e-30 to 1e30 in float32. Zero
    stays zero.

    Args:
        steps: how many polynomials, each of three products.
        lowest: the smallest singular value, as a part of the Frobenius norm, that is brought into the band.
        method: "polynomials" for those; "keller" for Keller Jordan's, whose band is wide; "cubic" for Newton and
            Schulz'; a tuple of rows `(a, b, c)`; or "svd" and "qdwh", which are exact, and have derivatives of 0.
        precision: of the products: None for that of JAX on the platform, or "float32", "tensorfloat32", "bfloat16",
            "float16".

    State: none.

    References: Jordan et al., "Muon: An Optimizer for Hidden Layers in Neural Networks", 2024; Amsel, Persson, Musco
    and Gower, "The Polar Express", 2025, algorithm 1. Dividing by the largest element before the norm is ours: squares
    overflow, and vanish.
    """
    whole_number("steps", steps)
    polynomials_of(steps, lowest, method, precision)
    return matrixwise(lambda g: linalg.polar(g, steps, lowest, method, precision), in_turn=True)


RULES: dict[str, Callable[[int, int], Any]] = {
    "match_rms_adamw": lambda inputs, outputs: 0.2 * math.sqrt(max(inputs, outputs)),
    "original": lambda inputs, outputs: math.sqrt(max(1.0, outputs / inputs)),
    "spectral": lambda inputs, outputs: math.sqrt(outputs / inputs),
}


@transformation
def scale_by_shape(rule: str = "match_rms_adamw", factor: NonNegative = 1.0):
    r"""Shape: multiplies each matrix by a number that depends on its shape, so that one rate serves all.

    .. math:: u = factor \cdot f \cdot g

    For a matrix with singular values of 1 that has inputs :math:`m` and outputs :math:`n`,

        "match_rms_adamw"   :math:`f = 0.2 \sqrt{\max(m, n)}`, elements of the size of AdamW's, and its rates
        "original"          :math:`f = \sqrt{\max(1, n/m)}`
        "spectral"          :math:`f = \sqrt{n/m}`: what inputs of size 1 give changes by 1

    Args:
        rule: one of these.
        factor: multiplies it.

    State: none.

    References: Liu et al., "Muon is Scalable for LLM Training", 2025, section 2.2; Jordan et al., "Muon", 2024; Yang,
    Simon and Bernstein, "A Spectral Condition for Feature Learning", 2023.
    """
    if rule not in RULES:
        raise GradtxValueError(f"rule: expected one of {', '.join(map(repr, RULES))}, got {short(rule)}")
    return matrixwise(lambda g: factor * RULES[rule](*g.shape) * g)


@transformation
def scale_by_row_ema(decay: Decay):
    r"""Output EMA: the moving average, for each output of a matrix, of the mean over its inputs.

    .. math:: v_t = decay \cdot v_{t-1} + (1 - decay) \operatorname{mean}_{inputs} g_t, \quad u_t = v_t

    An output is a row where outputs are rows, as in papers. For squares, in NorMuon.

    Args:
        decay: decay rate of the average, in [0, 1).

    State: one number for each output of each matrix.

    Reference: Li et al., "NorMuon: Making Muon More Efficient and Scalable", 2025, algorithm 1.
    """
    mean = weighted_mean(decay)

    def init(p):
        return jnp.sum(jnp.zeros_like(p.real), 0, keepdims=True)  # split as the outputs are

    def step(g, v):
        v = mean(*align(v, jnp.mean(g, 0, keepdims=True)))
        return jnp.broadcast_to(v, g.shape), v

    return matrixwise(step, init)


ORACLES: dict[str, Callable[[Any, Any], Any]] = {
    "spectral": lambda g, method: math.sqrt(g.shape[1] / g.shape[0]) * linalg.polar(g, 5, method=method),
    "sign": lambda g, method: jnp.sign(g) / g.shape[0],
    "columns": lambda g, method: math.sqrt(g.shape[1]) * _over_norms(g, (1,)),
    "rows": lambda g, method: _over_norms(g, (0,)) / math.sqrt(g.shape[0]),
    "rms": lambda g, method: math.sqrt(g.size) * _over_norms(g, (0, 1)),
}


@transformation
def lmo(norm: str = "spectral", method: Any = "polynomials"):
    r"""LMO (linear minimization oracle): replaces each matrix by the one of norm 1 that is most aligned with it.

    For m inputs and n outputs, where a column of the papers is an input and a row an output, u is

        "spectral"   :math:`\sqrt{n/m}` times the polar factor
        "sign"       the signs over m
        "columns"    each input's outputs over their root mean square
        "rows"       each output's inputs over their norm and :math:`\sqrt{m}`
        "rms"        the matrix over its root mean square

    Zero stays zero.

    Args:
        norm: one of these.
        method: of the polar factor; see `orthogonalize`.

    State: none.

    Reference: Pethick et al., "Training Deep Learning Models with Norm-Constrained LMOs", 2025, table 2.
    """
    if norm not in ORACLES:
        raise GradtxValueError(f"norm: expected one of {', '.join(map(repr, ORACLES))}, got {short(norm)}")
    polynomials_of(5, 1e-3, method, None)
    return matrixwise(lambda g: ORACLES[norm](g, method), in_turn=norm == "spectral")


def _over_norms(g: Any, axes: tuple[int, ...]) -> Any:
    return g * jnp.broadcast_to(safe_divide(1.0, norms_along(g, axes)), g.shape)

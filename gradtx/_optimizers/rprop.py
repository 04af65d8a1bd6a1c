"""Rprop: step sizes from signs alone."""

from gradtx._combinators.chain import chain
from gradtx._combinators.let import let, use
from gradtx._combinators.parallel import product
from gradtx._core.protocol import transformation
from gradtx._primitives.elementwise import add_constant, sign
from gradtx._primitives.reversal import rprop_step_size, sign_agreement
from gradtx._primitives.scale import scale
from gradtx._values.schedule import NonNegative, Positive


@transformation
def rprop(
    learning_rate: NonNegative,
    eta_minus: NonNegative = 0.5,
    eta_plus: Positive = 1.2,
    min_step_size: NonNegative = 1e-6,
    max_step_size: NonNegative = 50.0,
):
    r"""Rprop: a step size for each coordinate, that grows while the gradient's sign stays and shrinks where it changes.

    .. math:: a_t = \mathrm{sign}(g_t \cdot r_{t-1}), \quad s_t = \begin{cases}
            \min(eta\_plus \cdot s_{t-1}, max\_step\_size) & a_t > 0 \\
            \max(eta\_minus \cdot s_{t-1}, min\_step\_size) & a_t < 0 \\ s_{t-1} & a_t = 0 \end{cases}, \quad
        u_t = \begin{cases} 0 & a_t < 0 \\ -s_t \, \mathrm{sign}(g_t) \end{cases}

    where :math:`r_{t-1}` is the last gradient, or 0 where it changed its sign. For whole batches: it does not see how
    large a gradient is.

    Args:
        learning_rate: the first step size of every coordinate; of a schedule only the first value counts.
        eta_minus: the factor by which a step size shrinks.
        eta_plus: the factor by which it grows.
        min_step_size: the smallest step size.
        max_step_size: the largest step size.

    State: two arrays per parameter.

    Reference: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP
    algorithm", 1993, in the form of Igel and Hüsken, "Improving the Rprop Learning Algorithm", 2000 (iRprop-). Optax
    emits the sign of the step before.
    """
    size = rprop_step_size(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size)
    unless_reversed = chain(add_constant(1.0), sign())  # of -1, 0 and 1 makes 0, 1 and 1
    step = product(chain(use("agreement"), size), chain(use("agreement"), unless_reversed), sign())
    return chain(let("agreement", sign_agreement(), step), scale(-1.0))

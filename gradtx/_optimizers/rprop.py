"""Rprop: step sizes from the signs of gradients alone."""

from gradtx._combinators.chain import chain
from gradtx._combinators.let import let, use
from gradtx._combinators.parallel import product
from gradtx._core.protocol import transformation
from gradtx._primitives.elementwise import add_constant, sign
from gradtx._primitives.reversal import rprop_step_size, sign_agreement
from gradtx._primitives.scale import scale_by_learning_rate
from gradtx._values.schedule import NonNegative, Positive


@transformation
def rprop(
    learning_rate: NonNegative,
    eta_minus: NonNegative = 0.5,
    eta_plus: Positive = 1.2,
    min_step_size: NonNegative = 1e-6,
    max_step_size: NonNegative = 50.0,
):
    r"""Rprop: grows each coordinate's step size while the sign of its gradient stays, and shrinks it after a change.

    .. math:: a_t = \mathrm{sign}(g_t \cdot r_{t-1}), \quad s_t = \begin{cases}
            \min(eta\_plus \cdot s_{t-1}, max\_step\_size) & a_t > 0 \\
            \max(eta\_minus \cdot s_{t-1}, min\_step\_size) & a_t < 0 \\ s_{t-1} & a_t = 0 \end{cases}, \quad
        u_t = \begin{cases} 0 & a_t < 0 \\ -s_t \, \mathrm{sign}(g_t) \end{cases}

    where :math:`r_{t-1}` is the previous gradient, or 0 where its sign changed. Use full batches: the magnitude of the
    gradient is ignored.

    Args:
        learning_rate: the initial step size of every coordinate; only the first value of a schedule is used.
        eta_minus: the factor that shrinks a step size.
        eta_plus: the factor that grows it.
        min_step_size: the smallest step size.
        max_step_size: the largest step size.

    State: two arrays per parameter.

    Reference: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP
    algorithm", 1993, in the form of Igel and Hüsken, "Improving the Rprop Learning Algorithm", 2000 (iRprop-). Differs
    from Optax: Optax emits the sign of the previous step.
    """
    size = rprop_step_size(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size)
    unless_reversed = chain(add_constant(1.0), sign())  # maps -1, 0 and 1 to 0, 1 and 1
    step = product(chain(use("agreement"), size), chain(use("agreement"), unless_reversed), sign())
    return chain(let("agreement", sign_agreement(), step), scale_by_learning_rate(1.0))

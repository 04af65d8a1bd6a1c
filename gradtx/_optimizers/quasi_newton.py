"""L-BFGS and Newton-CG: a direction from curvature, and a line search along it."""

from gradtx._combinators.chain import chain
from gradtx._core.protocol import transformation
from gradtx._linesearch.search import line_search
from gradtx._preconditioners.quasi_newton import precondition_by_cg, precondition_by_lbfgs
from gradtx._primitives.scale import scale
from gradtx._values.schedule import NonNegative, UnitInterval


@transformation
def lbfgs(memory_size: int = 10, c1: UnitInterval = 1e-4, c2: UnitInterval = 0.9, max_evaluations: int = 25):
    r"""L-BFGS: steps along the quasi-Newton direction, as far as a line search for the Wolfe conditions goes.

    .. math:: u_t = -t \, H_t g_t

    for the inverse Hessian H of `precondition_by_lbfgs` and the step t of `line_search`. It needs no learning rate, and
    is made for losses without noise: `minimize(loss_fn, gx.lbfgs(), params)`.

    Args:
        memory_size: the number of pairs from which H is made.
        c1: see `line_search`.
        c2: see `line_search`.
        max_evaluations: the largest number of evaluations of one search.

    State: `2 * memory_size + 3` arrays per parameter, 23 by default, at least float32. Needs the parameters, and the
    extra argument `value_and_grad_fn` or `value_fn`.

    Reference: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989; the first
    direction is divided by its norm, and the line search is another one.
    """
    direction = chain(precondition_by_lbfgs(memory_size), scale(-1.0))
    return line_search(direction, c1, c2, max_evaluations)


@transformation
def newton_cg(
    damping: NonNegative = 0.0,
    max_steps: int = 100,
    rtol: NonNegative | None = None,
    c1: UnitInterval = 1e-4,
    c2: UnitInterval = 0.9,
    max_evaluations: int = 25,
):
    r"""Newton-CG: steps along Newton's direction from conjugate gradients, as far as a line search goes.

    .. math:: u_t = -t \, (H + damping \cdot I)^{-1} g_t

    with the direction of `precondition_by_cg` and the step t of `line_search`.

    Args:
        damping: added to the Hessian's diagonal.
        max_steps: the largest number of products with the Hessian for one direction.
        rtol: the residual to reach; see `precondition_by_cg`.
        c1: see `line_search`.
        c2: see `line_search`.
        max_evaluations: the largest number of evaluations of one search.

    State: one array per parameter, at least float32. Needs the parameters, and the extra arguments `grad_fn` and
    `value_and_grad_fn` or `value_fn`.

    Reference: Nocedal and Wright, "Numerical Optimization", 2006, algorithm 7.1, with another line search.
    """
    direction = chain(precondition_by_cg(damping, max_steps, rtol), scale(-1.0))
    return line_search(direction, c1, c2, max_evaluations)

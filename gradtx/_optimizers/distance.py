"""Step sizes from the distance travelled, and bets: no learning rate to tune."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._combinators.let import let, use
from gradtx._combinators.parallel import add, difference, maximum, product, ratio
from gradtx._core.identity import identity
from gradtx._core.protocol import transformation
from gradtx._primitives.accumulate import nonnegative_sum, running_max, running_sum
from gradtx._primitives.add import add_decayed_weights
from gradtx._primitives.anchor import current_params, initial_params, max_distance_from_init, scale_by_global_rss
from gradtx._primitives.elementwise import absolute, clip_min
from gradtx._primitives.scale import scale, scale_by_learning_rate
from gradtx._values.schedule import NonNegative, Positive


@transformation
def dog(
    learning_rate: NonNegative = 1.0,
    init_step: Positive = 1e-6,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""DoG: the distance travelled over the root of the sum of squared gradient norms is the step size.

    .. math:: r_t = \max(r_{t-1}, \lVert p_t - p_1 \rVert), \quad r_0 = init\_step (1 + \lVert p_1 \rVert), \quad
        u_t = -learning\_rate \frac{r_t}{\sqrt{\sum_{i \le t} \lVert g_i \rVert^2 + eps}} g_t

    with norms of the whole tree. The last iterate is noisy: evaluate `average_params(dog())`.

    Args:
        learning_rate: a factor of the step size; 1 needs no tuning.
        init_step: the distance before the first step, in units of 1 and the norm of the parameters together; in Optax
            `("heuristic", init_step)`.
        eps: added inside the root.
        weight_decay: the multiple of the parameter that is added to the gradient.
        mask: which parameters decay; see `add_decayed_weights`.

    State: one array per parameter, and two numbers. Needs the parameters; half-precision ones want `master_weights`
    around it, or the first steps are rounded away, and with them all others.

    Reference: Ivgi, Hinder and Carmon, "DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule", 2023,
    section 1.
    """
    step = product(use("distance"), scale_by_global_rss(eps_root=eps))
    return chain(
        add_decayed_weights(weight_decay, mask),
        let("distance", max_distance_from_init(init_step), step),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def dowg(
    learning_rate: NonNegative = 1.0,
    init_distance: Positive = 1e-2,
    eps: NonNegative = 1e-4,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""DoWG: the squared distance travelled over the root of the sum of gradient norms, weighted by that distance.

    .. math:: r_t = \max(r_{t-1}, \lVert p_t - p_1 \rVert), \quad
        u_t = -learning\_rate \frac{r_t^2}{\sqrt{\sum_{i \le t} r_i^2 \lVert g_i \rVert^2} + eps} g_t

    with norms of the whole tree.

    Args:
        learning_rate: a factor of the step size; 1 needs no tuning.
        init_distance: the distance before the first step; in Optax `init_estim_sq_dist` is its square, and `eps` by
            default.
        eps: added outside the root.
        weight_decay: the multiple of the parameter that is added to the gradient.
        mask: which parameters decay; see `add_decayed_weights`.

    State: one array per parameter, and two numbers. Needs the parameters; half-precision ones want `master_weights`
    around it, or the first steps are rounded away, and with them all others.

    Reference: Khaled, Mishchenko and Jin, "DoWG Unleashed: An Efficient Universal Parameter-Free Gradient Descent
    Method", 2023, algorithm 1, which has no constant.
    """
    weighted = product(identity(), use("distance"))
    step = product(use("distance"), chain(weighted, scale_by_global_rss(eps)))
    return chain(
        add_decayed_weights(weight_decay, mask),
        let("distance", max_distance_from_init(init_distance, relative=False), step),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def cocob(
    learning_rate: NonNegative = 1.0,
    alpha: NonNegative = 100.0,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
    mask: Any = None,
):
    r"""COCOB: bets on each coordinate's next gradient a part of what earlier bets have won.

    .. math:: l_t = \max(l_{t-1}, |g_t|), \quad n_t = n_{t-1} + |g_t|, \quad s_t = s_{t-1} + g_t, \quad
        w_t = \max(w_{t-1} + g_t (p_1 - p_t), 0), \quad
        u_t = p_1 - \frac{s_t}{l_t \max(n_t + l_t, alpha \cdot l_t)} (l_t + w_t) - p_t

    Args:
        learning_rate: a factor of the gradients, to which the bets are nearly indifferent.
        alpha: how cautious the first bets are.
        eps: the least of the largest gradients.
        weight_decay: the multiple of the parameter that is added to the gradient.
        mask: which parameters decay; see `add_decayed_weights`.

    State: five arrays per parameter. Needs the parameters.

    Reference: Orabona and Tommasi, "Training Deep Networks without Learning Rates Through Coin Betting", 2017,
    algorithm 2, which has neither learning rate nor decay.
    """
    largest, gradients = chain(absolute(), running_max(), clip_min(eps)), chain(absolute(), running_sum())
    at_stake = maximum(add(gradients, use("largest")), chain(use("largest"), scale(alpha)))
    fraction = ratio(running_sum(), product(use("largest"), at_stake))
    won = chain(product(identity(), difference(use("start"), current_params())), nonnegative_sum())
    bet = product(fraction, add(use("largest"), won))
    move = difference(difference(use("start"), bet), current_params())
    return chain(
        add_decayed_weights(weight_decay, mask),
        scale(learning_rate),
        let("start", initial_params(), let("largest", largest, move)),
    )

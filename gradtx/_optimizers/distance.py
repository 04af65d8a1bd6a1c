"""DoG, DoWG and COCOB: no learning rate to tune, by distances travelled or by coin betting."""

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
    r"""DoG: sets the step size to the distance travelled over the root of the sum of squared gradient norms.

    .. math:: r_t = \max(r_{t-1}, \lVert p_t - p_1 \rVert), \quad r_0 = init\_step (1 + \lVert p_1 \rVert), \quad
        u_t = -learning\_rate \frac{r_t}{\sqrt{\sum_{i \le t} \lVert g_i \rVert^2 + eps}} g_t

    with norms of the whole tree. The last iterate is noisy: evaluate `average_params(dog())`.

    Args:
        learning_rate: multiplies the step size; 1 needs no tuning.
        init_step: the initial distance, in units of :math:`1 + \lVert p_1 \rVert`; in Optax
            `("heuristic", init_step)`.
        eps: added inside the square root.
        weight_decay: coefficient of L2 weight decay, added to the gradient.
        mask: which parameters decay; see `add_decayed_weights`.

    State: one array per parameter, and two scalars. Needs the parameters. With half-precision parameters wrap it in
    `master_weights`; otherwise rounding loses the first steps, and with them all later ones.

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
    r"""DoWG: sets the step size to the squared distance over the root of the distance-weighted squared gradient norms.

    .. math:: r_t = \max(r_{t-1}, \lVert p_t - p_1 \rVert), \quad
        u_t = -learning\_rate \frac{r_t^2}{\sqrt{\sum_{i \le t} r_i^2 \lVert g_i \rVert^2} + eps} g_t

    with norms of the whole tree.

    Args:
        learning_rate: multiplies the step size; 1 needs no tuning.
        init_distance: the initial distance; Optax takes its square as `init_estim_sq_dist`, by default `eps`.
        eps: added outside the square root.
        weight_decay: coefficient of L2 weight decay, added to the gradient.
        mask: which parameters decay; see `add_decayed_weights`.

    State: one array per parameter, and two scalars. Needs the parameters. With half-precision parameters wrap it in
    `master_weights`; otherwise rounding loses the first steps, and with them all later ones.

    Reference: Khaled, Mishchenko and Jin, "DoWG Unleashed: An Efficient Universal Parameter-Free Gradient Descent
    Method", 2023, algorithm 1, which has no eps.
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
    r"""COCOB (coin betting): bets on each coordinate's next gradient a fraction of the wealth won by earlier bets.

    .. math:: l_t = \max(l_{t-1}, |g_t|), \quad n_t = n_{t-1} + |g_t|, \quad s_t = s_{t-1} + g_t, \quad
        w_t = \max(w_{t-1} + g_t (p_1 - p_t), 0), \quad
        u_t = p_1 - \frac{s_t}{l_t \max(n_t + l_t, alpha \cdot l_t)} (l_t + w_t) - p_t

    Args:
        learning_rate: multiplies the gradients; the bets hardly depend on it.
        alpha: caution of the first bets; larger values bet less.
        eps: lower bound of the largest gradient magnitude.
        weight_decay: coefficient of L2 weight decay, added to the gradient.
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

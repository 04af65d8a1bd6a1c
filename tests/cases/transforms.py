"""Transforms of norms, parameters and noise: sizes, bounds, projections, the step size of Polyak, privacy."""

import jax
import jax.numpy as jnp
import numpy as np
from references import dpsgd as reference_of_dpsgd
from references import polyak_sgd as reference_of_polyak_sgd

import gradtx as gx
from gradtx.testing import LAWS

from ._make import case, reference

NO_HEADS = {"odd_trees": "a 0-d array has no heads"}
NOISY = {
    "names_do_not_matter": "which leaf gets which noise depends on the order of the leaves",
    "double_precision_is_kept": "the noise of float64 leaves is another than that of float32 leaves",
}


def _logits(params):
    """Four times the threshold, for all heads."""
    return {"max_logits": jax.tree.map(lambda p: jnp.full(p.shape[-1:], 40.0), params)}


@gx.transformation(role="wrapper")
def of_two_examples(inner):
    """What a user does who has gradients of examples: here g and g / 8, of which only one is clipped."""

    def update(step, updates, state, params):
        examples = jax.tree.map(lambda g: jnp.stack([g, 0.125 * g]), updates)
        out, new = step.update(inner, examples, state["inner"], params)
        return out, {"inner": new}

    return gx.combinator(lambda step, params: {"inner": step.init(inner, params)}, update)


def _of_two_examples(gradients, parameters, **numbers):
    return reference_of_dpsgd(np.stack([gradients, 0.125 * gradients], 1), parameters, **numbers)


# Their updates have one axis more than the parameters; the same in `of_two_examples` is under every law.
ONLY_AS_VALUES = {
    law: "updates have an axis of examples; see the case of two examples"
    for law in LAWS
    if law
    not in (
        "init_is_abstract",
        "stores_what_it_says",
        "text_evaluates_back",
        "equal_by_content",
        "config_round_trip",
        "numbers_are_declared",
    )
}


def _value(params):
    """A loss for the extra argument."""
    return {"value": 1 + sum((jnp.sum(jnp.abs(p.astype(float))) for p in jax.tree.leaves(params)), jnp.zeros(()))}


def _polyak(**numbers):
    def value(parameters):
        return 1 + abs(parameters).sum()

    def run(gradients, parameters):
        return reference_of_polyak_sgd(gradients, parameters, value=value, **numbers)

    return run


CASES = [
    # Sizes.
    case("scale_by_trust_ratio", gx.scale_by_trust_ratio(), odd=True, scale_invariant=True),
    case("scale_by_trust_ratio, bounded", gx.scale_by_trust_ratio(0.5, 0.1, 0.01), odd=True),
    case("scale_by_param_norm", gx.scale_by_param_norm(), odd=True),
    case("scale_by_param_rms", gx.scale_by_param_rms(), odd=True),
    case("scale_by_norm_ema", gx.scale_by_norm_ema(0.9), odd=True),
    case("scale_by_norm_ema, without eps", gx.scale_by_norm_ema(0.5, 0.0), odd=True, scale_invariant=True),
    case("scale_by_norm_ema, eps_root", gx.scale_by_norm_ema(0.9, 0.0, 0.1), odd=True),
    case("normalize_by_global_norm", gx.normalize_by_global_norm(), odd=True, scale_invariant=True),
    case("normalize_by_global_norm, eps", gx.normalize_by_global_norm(0.1), odd=True),
    case("centralize", gx.centralize(), odd=True),
    # Bounds.
    case("clip_by_block_rms", gx.clip_by_block_rms(0.5), odd=True),
    case("adaptive_grad_clip", gx.adaptive_grad_clip(0.01), odd=True),
    case("adaptive_grad_clip, by axis", gx.adaptive_grad_clip(0.5, axis=()), odd=True),
    case("zero_nans", gx.zero_nans(), odd=True),
    # Projections.
    case("project_nonnegative", gx.project_nonnegative()),
    case("project_box", gx.project_box(-0.5, 0.7)),
    case("project_qk", gx.project_qk(10.0, axis=-1), extras=_logits, temporary=(1.0, "factors"), excused=NO_HEADS),
    case("project_l2_ball", gx.project_l2_ball(1.5), odd=True),
    case("project_simplex", gx.project_simplex(2.0)),
    # Noise.
    case("add_noise", gx.add_noise(0.1), stored=0, excused=NOISY),
    case(
        "noisy_sgd",
        gx.noisy_sgd(0.1),
        stored=0,
        temporary=(4.0, "random bits on their way to noise"),
        excused=NOISY,
        solves={"quadratic": (0.1, 150), "rosenbrock": (1e-3, 10_000), "ravine": (0.01, 1500)},
    ),
    # Polyak's step size.
    case("scale_by_polyak", gx.scale_by_polyak(f_min=-1.0, eps=1e-3), extras=_value, odd=True),
    case(
        "polyak_sgd",
        gx.polyak_sgd(),
        _polyak(),
        extras=_value,
        odd=True,
        stored=0,
        solves={
            "quadratic": (gx.polyak_sgd(), 100),
            "rosenbrock": (gx.polyak_sgd(), 5000),
            "ravine": (gx.polyak_sgd(), 500),
        },
    ),
    case(
        "polyak_sgd, sps+",
        gx.polyak_sgd(0.1, 0.5, 2.0, 0.3, "sps+"),
        _polyak(max_learning_rate=0.1, scaling=0.5, f_min=2.0, eps=0.3, variant="sps+"),
        extras=_value,
        odd=True,
    ),
    # Gradients of single examples.
    case("aggregate_privately", gx.aggregate_privately(1.0, 0.5), stored=0, excused=ONLY_AS_VALUES),
    case("aggregate_privately, of two examples", of_two_examples(gx.aggregate_privately(1.0, 0.5)), excused=NOISY),
    case(
        "dpsgd",
        gx.dpsgd(0.1, 1.0, 0.5),
        stored=0,
        excused=ONLY_AS_VALUES,
        solves={
            "quadratic": (of_two_examples(gx.dpsgd(0.2, 10.0, 1e-4)), 200),
            "rosenbrock": (of_two_examples(gx.dpsgd(2e-3, 100.0, 1e-5)), 10_000),
            "ravine": (of_two_examples(gx.dpsgd(0.02, 100.0, 1e-5)), 1500),
        },
    ),
    case(
        "dpsgd, of two examples",
        of_two_examples(gx.dpsgd(0.1, 1.0, 0.0, 0, 0.9, nesterov=True)),
        lambda gradients, parameters: _of_two_examples(
            gradients, parameters, learning_rate=0.1, l2_norm_clip=1.0, momentum=0.9, nesterov=True
        ),
        odd=True,
    ),
    # Coordinates that agree with the gradient.
    case("cautious", gx.cautious(gx.adam(1e-3)), reference("cautious_adam"), odd=True),
    case("cautious, of sign", gx.cautious(gx.lion(1e-3)), odd=True),
]

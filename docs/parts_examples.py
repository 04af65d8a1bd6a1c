"""The examples of the pages of parts: an expression, and the kind of its picture.

The kinds are those of `parts_pictures.py`: streams of gradients of one parameter ("wave", "hills", "gaps",
"constant") or of two arrays ("two"), parameters that descend to a fixed or a moving minimum ("descent", "follow") or
in a narrow valley ("valley"), a matrix alone or with its singular values ("matrix", "singular"), and "diagram".
Without a kind there is no picture, and the example is a few lines, for `params` and `grads`.
"""

import jax
import jax.numpy as jnp

import gradtx as gx

NAMES = {"gx": gx, "jax": jax, "jnp": jnp}
"""The names in the examples."""

EXAMPLES: dict[str, tuple[str, str]] = {
    # elementwise
    "square": ("gx.square()", "wave"),
    "sqrt": ("gx.sqrt()", "hills"),
    "sign": ("gx.sign()", "wave"),
    "absolute": ("gx.absolute()", "wave"),
    "power": ("gx.power(0.25)", "hills"),
    "reciprocal": ("gx.reciprocal()", "hills"),
    "add_constant": ("gx.add_constant(0.5)", "wave"),
    "clip_min": ("gx.clip_min(0.2)", "wave"),
    "scale": ("gx.scale(0.5)", "wave"),
    "clip": ("gx.clip(0.5)", "wave"),
    "clip_between": ("gx.clip_between(-0.2, 0.8)", "wave"),
    "zero_nans": ("gx.zero_nans()", "gaps"),
    "identity": ("gx.identity()", "wave"),
    "set_to_zero": ("gx.set_to_zero()", "wave"),
    # with memory
    "scale_by_ema": ("gx.scale_by_ema(0.9)", "wave"),
    "bias_correction": ("gx.chain(gx.scale_by_ema(0.9), gx.bias_correction(0.9))", "hills"),
    "bias_correction_ahead": ("gx.chain(gx.scale_by_ema(0.9), gx.bias_correction_ahead(0.9))", "hills"),
    "running_sum": ("gx.running_sum()", "wave"),
    "running_max": ("gx.running_max(0.95)", "hills"),
    "delay": ("gx.delay()", "wave"),
    "gradient_difference": ("gx.gradient_difference()", "wave"),
    "add_momentum": ("gx.add_momentum(0.9)", "wave"),
    "scale_by_additive_ema": ("gx.scale_by_additive_ema(0.9)", "hills"),
    "scale_by_previous_ema": ("gx.scale_by_previous_ema(0.9)", "wave"),
    "scale_by_update_rms": ("gx.scale_by_update_rms(0.9, eps=0.01)", "wave"),
    "nonnegative_sum": ("gx.nonnegative_sum()", "wave"),
    "radam_denominator": ("gx.chain(gx.scale_by_ema(0.9), gx.radam_denominator(0.9))", "hills"),
    "sign_agreement": ("gx.sign_agreement()", "wave"),
    "rprop_step_size": ("gx.chain(gx.sign_agreement(), gx.rprop_step_size(0.1, largest=1.0))", "wave"),
    # with a small memory
    "scale_by_factored_ema": ("""
gx.chain(
    gx.square(),
    gx.scale_by_factored_ema(0.5, min_dim_size_to_factor=2),
)
""", "matrix"),
    "running_sum_by_axis": ("gx.chain(gx.square(), gx.running_sum_by_axis())", "matrix"),
    # of each array, of the whole tree
    "centralize": ("gx.centralize()", "matrix"),
    "normalize_by_block_norm": ("gx.normalize_by_block_norm()", "two"),
    "clip_by_block_norm": ("gx.clip_by_block_norm(0.7)", "two"),
    "clip_by_block_rms": ("gx.clip_by_block_rms(0.7)", "two"),
    "scale_by_norm_ema": ("gx.scale_by_norm_ema(0.9)", "two"),
    "scale_by_trust_ratio": ("gx.scale_by_trust_ratio()", "two"),
    "scale_by_param_norm": ("gx.scale_by_param_norm()", "two"),
    "scale_by_param_rms": ("gx.scale_by_param_rms()", "two"),
    "adaptive_grad_clip": ("gx.adaptive_grad_clip(0.5)", "two"),
    "clip_by_global_norm": ("gx.clip_by_global_norm(0.7)", "two"),
    "normalize_by_global_norm": ("gx.normalize_by_global_norm()", "two"),
    "scale_by_global_rss": ("gx.scale_by_global_rss()", "two"),
    "scale_by_polyak": ("gx.chain(gx.scale_by_polyak(max_learning_rate=0.2), gx.scale(-1.0))", "descent"),
    "hutchinson": ("""
# update wants value_fn and key
tx = gx.hutchinson(every=10)
""", ""),
    # directions of named optimizers
    "scale_by_rss": ("gx.scale_by_rss()", "wave"),
    "scale_by_rms": ("gx.scale_by_rms(0.9)", "wave"),
    "scale_by_stddev": ("gx.scale_by_stddev(0.9)", "wave"),
    "scale_by_adam": ("gx.scale_by_adam(b2=0.95)", "wave"),
    "scale_by_nadam": ("gx.scale_by_nadam(b2=0.95)", "wave"),
    "scale_by_radam": ("gx.scale_by_radam(b2=0.95)", "wave"),
    "scale_by_amsgrad": ("gx.scale_by_amsgrad(b2=0.95)", "wave"),
    "scale_by_yogi": ("gx.scale_by_yogi(b2=0.95)", "wave"),
    "scale_by_belief": ("gx.scale_by_belief(b2=0.95)", "wave"),
    "scale_by_adamax": ("gx.scale_by_adamax(b2=0.95)", "wave"),
    "scale_by_adan": ("gx.scale_by_adan()", "wave"),
    "scale_by_ademamix": ("gx.scale_by_ademamix(b2=0.95, b3=0.99, alpha=2.0)", "wave"),
    "scale_by_lion": ("gx.scale_by_lion()", "wave"),
    "scale_by_factored_rms": ("gx.scale_by_factored_rms(min_dim_size_to_factor=2)", "matrix"),
    "scale_by_soap": ("gx.scale_by_soap()", "singular"),
    # of matrices
    "orthogonalize": ("gx.orthogonalize()", "singular"),
    "orthogonalize_largest": ("gx.orthogonalize_largest(0.25)", "singular"),
    "lmo": ('gx.lmo("sign")', "singular"),
    "scale_by_dion": ("gx.scale_by_dion(rank=3)", "singular"),
    "precondition_by_kronecker": ("gx.precondition_by_kronecker(decay=0.9)", "singular"),
    "precondition_by_kl_kronecker": ("gx.precondition_by_kl_kronecker(decay=0.9)", "singular"),
    "precondition_by_whitening": ("gx.precondition_by_whitening()", "singular"),
    "scale_by_shape": ('gx.scale_by_shape("match_rms_adamw")', "singular"),
    "scale_by_row_ema": ("gx.chain(gx.square(), gx.scale_by_row_ema(0.9))", "matrix"),
    "keep_norm": ("gx.keep_norm(gx.orthogonalize())", "singular"),
    "graft": ("gx.graft(gx.orthogonalize(), gx.sign())", "singular"),
    "scale_by_dual_norm": ("gx.scale_by_dual_norm(gx.orthogonalize())", "singular"),
    "as_matrices": ("gx.as_matrices(gx.chain(gx.orthogonalize(), gx.scale_by_shape()))", "diagram"),
    "in_eigenbasis": ("gx.in_eigenbasis(gx.scale_by_rms(0.9), every=1)", "singular"),
    "low_rank": ("gx.low_rank(gx.scale_by_adam(), rank=3)", "singular"),
    # with the curvature, along a line
    "precondition_by_lbfgs": ("gx.chain(gx.precondition_by_lbfgs(), gx.scale(-0.3))", "valley"),
    "precondition_by_cg": ("gx.chain(gx.precondition_by_cg(), gx.scale(-0.3))", "valley"),
    "line_search": ("gx.line_search(gx.scale(-1.0))", "valley"),
    "backtracking": ("gx.backtracking(gx.scale(-1.0))", "valley"),
    # with parameters
    "add_decayed_weights": ("gx.add_decayed_weights(0.5)", "two"),
    "current_params": ("gx.current_params()", "two"),
    "initial_params": ("gx.initial_params()", "two"),
    "max_distance_from_init": ("gx.max_distance_from_init(relative=False)", "two"),
    # learning rates found on the way
    "scale_by_dadapt": ("gx.scale_by_dadapt(estim_lr0=1e-3)", "descent"),
    "scale_by_prodigy": ("gx.scale_by_prodigy(estim_lr0=1e-3)", "descent"),
    "momo_step": ("gx.momo_step(0.3)", "descent"),
    "mechanize": ("gx.mechanize(gx.sgd(1.0), s_init=1e-3)", "descent"),
    # random
    "add_noise": ("gx.add_noise(0.3)", "constant"),
    "aggregate_privately": ("""
# for gradients of single examples
tx = gx.chain(gx.aggregate_privately(1.0, 0.5), gx.sgd(0.1))
""", ""),
    # parameters in a set
    "project_nonnegative": ("gx.chain(gx.sgd(0.2), gx.project_nonnegative())", "follow"),
    "project_box": ("gx.chain(gx.sgd(0.2), gx.project_box(-0.5, 0.7))", "follow"),
    "project_l2_ball": ("gx.chain(gx.sgd(0.2), gx.project_l2_ball(0.8))", "follow"),
    "project_simplex": ("gx.chain(gx.sgd(0.2), gx.project_simplex())", "follow"),
    "project_sphere": ("gx.chain(gx.sgd(0.2), gx.project_sphere())", "follow"),
    "project_qk": ("""
# update wants max_logits
tx = gx.chain(gx.adamw(1e-3), gx.project_qk(threshold=100.0))
""", ""),
    # the last step
    "scale_by_learning_rate": ("gx.scale_by_learning_rate(0.5)", "wave"),
    # in series, side by side, twice
    "chain": ("""
gx.chain(
    gx.clip_by_global_norm(1.0),
    gx.scale_by_ema(0.9),
    gx.scale_by_learning_rate(0.1),
)
""", "diagram"),
    "parallel": ("gx.parallel(lambda a, b: a * b**2, gx.sign(), gx.scale_by_ema(0.9))", "diagram"),
    "ratio": ("""
gx.ratio(
    gx.scale_by_ema(0.9),
    gx.chain(gx.absolute(), gx.scale_by_ema(0.99)),
    eps=1e-8,
)
""", "diagram"),
    "add": ("gx.add(gx.identity(), gx.scale_by_ema(0.9))", "diagram"),
    "difference": ("gx.difference(gx.identity(), gx.scale_by_ema(0.9))", "diagram"),
    "product": ("gx.product(gx.sign(), gx.scale_by_ema(0.9))", "diagram"),
    "maximum": ("gx.maximum(gx.absolute(), gx.running_max(0.99))", "diagram"),
    "interpolate": ("gx.interpolate(gx.scale_by_ema(0.9), gx.identity(), 0.7)", "diagram"),
    "mean": ("gx.mean(gx.scale_by_ema(0.9), gx.scale_by_ema(0.99))", "diagram"),
    "let": ("""
gx.let(
    "mean",
    gx.scale_by_ema(0.9),
    gx.difference(gx.identity(), gx.use("mean")),
)
""", "diagram"),
    "use": ("""
gx.let(
    "mean",
    gx.scale_by_ema(0.9),
    gx.product(gx.use("mean"), gx.use("mean")),
)
""", "diagram"),
    # for some leaves
    "partition": ("""
gx.partition(
    {"slow": gx.sgd(0.01), "fast": gx.adam(0.1)},
    gx.by_path({"head/*": "fast", "**": "slow"}),
)
""", "diagram"),
    "masked": ("""
gx.masked(
    gx.scale_by_ema(0.9),
    gx.by_path({"large": True, "**": False}),
)
""", "two"),
    "freeze": ('gx.freeze(gx.by_path({"large": True, "**": False}))', "two"),
    "by_path": ('gx.masked(gx.scale(0.5), gx.by_path({"small": True, "**": False}))', "two"),
    "where": ("gx.masked(gx.scale(0.5), gx.where(lambda path, p: p.ndim > 0))", "two"),
    # at some steps
    "accumulate_gradients": ("gx.accumulate_gradients(gx.identity(), 6)", "wave"),
    "skip_nonfinite": ("gx.skip_nonfinite(gx.scale_by_ema(0.9))", "gaps"),
    "has_updated": ("""
tx = gx.accumulate_gradients(gx.adam(1e-3), 4)
state = tx.init(params)
gx.has_updated(state)  # False
""", ""),
    "has_nonfinite": ("gx.has_nonfinite(grads)  # False", ""),
    "conditional": ("""
gx.conditional(
    gx.scale_by_ema(0.9),
    lambda step: step % 20 < 10,
    gx.set_to_zero(),
)
""", "wave"),
    "switch": ("""
gx.switch(
    lambda step: step // 20,
    gx.identity(),
    gx.sign(),
    gx.scale_by_ema(0.9),
)
""", "wave"),
    # where it descends, by a metric
    "cautious": ("gx.cautious(gx.sgd(1.0, momentum=0.9))", "wave"),
    "remove_radial": ("gx.remove_radial(gx.sgd(1.0))", "diagram"),
    "reduce_on_plateau": ("""
gx.chain(
    gx.sgd(1.98),
    gx.reduce_on_plateau(0.5, patience=12, rtol=0.5),
)
""", "descent"),
    # beside training
    "master_weights": ("gx.master_weights(gx.adam(1e-3))", "diagram"),
    "lookahead": ("gx.lookahead(gx.sgd(0.3), sync_period=6, slow_step_size=0.5)", "descent"),
    "average_params": ("gx.average_params(gx.adam(1e-3), decay=0.999)", "diagram"),
    "schedule_free_averaging": ("gx.chain(gx.sgd(0.3), gx.schedule_free_averaging(0.3))", "descent"),
    "schedule_free": ("gx.schedule_free(gx.sgd(0.3), 0.3)", "descent"),
    "eval_params": ("""
tx = gx.average_params(gx.adam(1e-3), decay=0.999)
state = tx.init(params)
averaged = gx.eval_params(state, params)
""", ""),
    "master_params": ("""
tx = gx.master_weights(gx.adam(1e-3))
state = tx.init(params)
in_float32 = gx.master_params(state, params)
""", ""),
    # gradients elsewhere, other shapes
    "sharpness_aware": ("gx.sharpness_aware(gx.sgd(0.1), rho=0.05)", "diagram"),
    "extrapolated_gradient": ("gx.extrapolated_gradient(gx.sgd(0.1), decay=0.9)", "diagram"),
    "over_layers": ("""
# the norm of each layer by itself
tx = gx.over_layers(gx.clip_by_global_norm(1.0))
""", ""),
    "per_leaf": ("gx.per_leaf(gx.clip_by_global_norm(0.7))", "two"),
    "split_complex": ("tx = gx.split_complex(gx.adam(1e-3))", ""),
    # the state, and how it is computed
    "record": ('tx = gx.chain(gx.adam(1e-3), gx.record("update norm", gx.tree.norm))', ""),
    "logs": ("""
tx = gx.chain(gx.record("norm", gx.tree.norm), gx.adam(1e-3))
state = tx.update(grads, tx.init(params))[1]
gx.logs(state)["norm"]
""", ""),
    "store": ("gx.store(gx.scale_by_ema(0.9), gx.codecs.bfloat16)", "diagram"),
    "bucketed": ("tx = gx.chain(gx.clip_by_global_norm(1.0), gx.bucketed(gx.adam(1e-3)))", ""),
    "compiled": ("tx = gx.compiled(gx.adam(1e-3))", ""),
    "inject": ("tx = gx.inject(gx.adam(1e-3))", ""),
    "get_hyperparams": ("""
state = gx.inject(gx.adam(1e-3)).init(params)
gx.get_hyperparams(state)['learning_rate']
""", ""),
    "set_hyperparams": ("""
state = gx.inject(gx.adam(1e-3)).init(params)
state = gx.set_hyperparams(state, learning_rate=1e-4)
""", ""),
    # your own
    "elementwise": ("gx.elementwise(lambda g: g - jnp.tanh(g))", "wave"),
    "memory": ("""
gx.memory(
    init=jnp.zeros_like,
    step=lambda g, m, p: jnp.maximum(0.9 * m, jnp.abs(g)),
    emit=lambda g, m, p: g / (m + 1e-8),
)
""", "wave"),
    "clocked": ("""
gx.clocked(
    start=lambda: jnp.zeros(()),
    advance=lambda t: (0.95**t, t + 1),
    emit=lambda g, r: r * g,
)
""", "wave"),
    "clocked_memory": ("""
gx.clocked_memory(
    init=jnp.zeros_like,
    start=lambda: jnp.zeros(()),
    advance=lambda t: (1 / (t + 1), t + 1),
    step=lambda g, m, p, r: m + r * (g - m),
)
""", "wave"),
    "matrixwise": ("gx.matrixwise(lambda g: g - jnp.mean(g, 0, keepdims=True))", "matrix"),
    "treewise": ("""
gx.treewise(
    lambda g, state, p: (
        jax.tree.map(lambda x: x / (1 + gx.tree.norm(g)), g),
        state,
    ),
)
""", "two"),
    "combinator": ("""
@gx.transformation(role="wrapper")
def uphill(inner: gx.Transform):
    def init(step, params):
        return {"inner": step.init(inner, params)}

    def update(step, updates, state, params):
        state = state["inner"]
        updates, state = step.update(inner, updates, state, params)
        updates = jax.tree.map(jnp.negative, updates)
        return updates, {"inner": state}

    return gx.combinator(init, update)


tx = uphill(gx.adam(1e-3))
""", ""),
    "transformation": ("""
@gx.transformation
def sign_descent(learning_rate: gx.NonNegative):
    step = gx.scale_by_learning_rate(learning_rate)
    return gx.chain(gx.sign(), step)


tx = sign_descent(1e-3)
""", ""),
}  # fmt: skip
"""An expression and the kind of its picture for each name in the table of parts."""

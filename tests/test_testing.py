"""The kit finds what it looks for: each law, against a transform that breaks it."""

import io
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx.testing import LAWS, BrokenLawError, Case, check


def _stateless(function):
    return gx.GradientTransformation(lambda params: (), lambda updates, state, params=None: (function(updates), state))


def _remembering(init, update):
    return gx.GradientTransformation(init, lambda updates, state, params=None: update(updates, state))


def _cast(state, dtype):
    return jax.tree.map(lambda x: x.astype(dtype), state)


def _zeros(params):
    return jax.tree.map(jnp.zeros_like, params)


@gx.transformation
def _branching(threshold: gx.Scalar):
    return gx.elementwise(lambda g: g if threshold > 0 else -g)


@gx.transformation
def _baked(factor: gx.Scalar):
    # Takes a traced number for another one than a Python number.
    return gx.elementwise(lambda g: g * (factor if isinstance(factor, float) else 2 * factor))


@gx.transformation
def _with_anything(anything: object):
    return gx.identity()


@gx.transformation
def _steep(eps: gx.Scalar):
    return gx.elementwise(lambda g: g / jnp.sqrt(g * g + eps))


@gx.transformation
def _unschedulable(factor: gx.Scalar):
    return gx.elementwise(lambda g: g * float(factor))


@gx.transformation
def _sum(first, second):
    return gx.parallel(jnp.add, first, second)


def _wrapper(pack, unpack, role="wrapper"):
    """A wrapper that keeps the state of `inner` where these two functions have it."""

    def around(inner):
        def update(step, updates, state, params):
            updates, new = step.update(inner, updates, unpack(state), params)
            return updates, pack(new)

        return gx.combinator(lambda step, params: pack(step.init(inner, params)), update)

    return gx.transformation(role=role)(around)


MISNAMED = {
    "under another key": _wrapper(lambda own: {"child": own}, lambda state: state["child"]),
    "behind a count": _wrapper(lambda own: (jnp.zeros(()), own), lambda state: state[1]),
    "as the whole state": _wrapper(lambda own: own, lambda state: state),
}
WITHOUT_A_ROLE = _wrapper(lambda own: {"inner": own}, lambda state: state["inner"], role=None)


def _mutating(updates):
    return {key: updates.pop(key) for key in list(updates)}


def _in_the_same_buffer(tree):
    """Other arrays, so that nobody can tell by looking at them."""
    return jax.tree.map(lambda x: x if isinstance(x, jax.core.Tracer) else x.addressable_data(0), tree)


def _twice_the_same_buffer(params):
    zeros = jax.tree.map(jnp.zeros_like, params)
    return zeros, _in_the_same_buffer(zeros)


def _on_one_device(updates):
    return jax.tree.map(lambda g: jnp.asarray(np.asarray(g)), updates)


@jax.custom_batching.custom_vmap
def _wrongly_batched(g):
    return g


@_wrongly_batched.def_vmap
def _(size, batched, g):
    return 2 * g, True


def _depends_on_order(updates):
    leaves, treedef = jax.tree.flatten(updates)
    return treedef.unflatten([leaf * (index + 1) for index, leaf in enumerate(leaves)])


def _complains_of_empty(updates):
    return jax.tree.map(lambda g: g / g.size, updates) if jax.tree.leaves(updates)[0] is not None else updates


def _unnamed_extra(updates, state, params=None, **extra):
    if "key" not in extra:
        raise TypeError("something is missing")
    return updates, state


def _halving_in_half(updates):
    return jax.tree.map(lambda g: g * (2 if g.dtype == jnp.bfloat16 else 1), updates)


def _growing_with_x64(updates):
    return jax.tree.map(lambda g: g.astype(float) if g.dtype == jnp.float32 else g, updates)


def _in_float32(around, dtype=None):
    """A wrapper that computes in float32, whatever comes in: all of it, or its factor of the norm, or its state."""

    def wrapper(inner):
        def update(step, updates, state, params):
            out, new = step.update(inner, updates, state["inner"], params)
            by = 1 / gx.tree.norm(out).astype(jnp.float32)
            kept = jax.tree.map(lambda m, u: m + u.astype(m.dtype), state["sum"], out)
            return jax.tree.map(lambda u, m: around(u, by, m).astype(u.dtype), out, kept), {"inner": new, "sum": kept}

        def init(step, params):
            return {"inner": step.init(inner, params), "sum": gx.tree.zeros_like(gx.tree.widened(params), dtype)}

        return gx.combinator(init, update)

    return gx.transformation(role="wrapper")(wrapper)


SINGLE = [
    _in_float32(lambda u, by, m: 0.1 * u.astype(jnp.float32)),
    _in_float32(lambda u, by, m: u * by.astype(u.dtype)),
    _in_float32(lambda u, by, m: u - 0.1 * m.astype(u.dtype), jnp.float32),
]


KEPT = _in_float32(lambda u, by, m: u - 0.1 * m)


def _wrong_reference(gradients, parameters):
    return -0.1 * gradients * np.linspace(1, 1.01, len(gradients))[:, None]


BROKEN = [
    ("updates_keep_their_form", _stateless(lambda updates: jax.tree.map(lambda g: g[None], updates))),
    (
        "state_is_a_fixed_point",
        _remembering(_zeros, lambda g, s: (g, jax.tree.map(lambda x: x.astype(jnp.float16), s))),
    ),
    ("state_is_a_fixed_point", _remembering(lambda params: jnp.asarray(1.0), lambda g, s: (g, s))),
    ("state_is_a_fixed_point", _remembering(lambda params: 0, lambda g, s: (g, s))),
    ("stores_what_it_says", Case(gx.adam(0.1), stored=1.0)),
    ("init_is_abstract", _remembering(lambda params: jnp.zeros(int(jnp.sum(params["out"]) != 9)), lambda g, s: (g, s))),
    ("inputs_stay", _stateless(_mutating)),
    ("no_buffers_are_shared", _remembering(_twice_the_same_buffer, lambda g, s: (g, s))),
    ("no_buffers_are_shared", _remembering(_in_the_same_buffer, lambda g, s: (g, s))),
    ("no_buffers_are_shared", _remembering(_zeros, lambda g, s: (g, _in_the_same_buffer(g)))),
    ("extras_pass", Case(gx.GradientTransformation(lambda p: (), _unnamed_extra), extras=lambda p: {"key": 1})),
    ("names_do_not_matter", _stateless(_depends_on_order)),
    ("odd_trees", _stateless(_complains_of_empty)),
    ("jit_equals_eager", _stateless(lambda u: jax.tree.map(lambda g: g * (1 + isinstance(g, jax.core.Tracer)), u))),
    ("one_trace", _branching(1.0)),
    ("eager_steps_compile_once", _stateless(lambda u: jax.lax.cond(True, lambda: u, lambda: u))),
    ("vmap_equals_loop", _stateless(lambda u: jax.tree.map(_wrongly_batched, u))),
    ("layers_stack", _stateless(lambda u: jax.tree.map(_wrongly_batched, u))),
    ("scan_equals_loop", _remembering(_zeros, lambda g, s: (g, _cast(s, jnp.bfloat16)))),
    ("restores", _remembering(lambda params: jnp.asarray(1.0), lambda g, s: (g, s))),
    ("sharded_equals_whole", _stateless(_on_one_device)),
    ("lowers_everywhere", _stateless(_on_one_device)),
    ("derivatives_are_finite", _steep(0.0)),
    ("extremes_stay_finite", _stateless(lambda u: jax.tree.map(lambda g: g * g, u))),
    ("half_precision_is_right", _stateless(_halving_in_half)),
    ("x64_changes_nothing", _stateless(_growing_with_x64)),
    *(("double_precision_is_kept", around(gx.scale_by_ema(0.9))) for around in SINGLE),
    (
        "double_precision_is_kept",
        _stateless(lambda u: jax.tree.map(lambda g: g * (1 + (g.dtype == jnp.float64)), u)),
    ),
    ("agrees_with_its_reference", Case(gx.sgd(0.1), reference=_wrong_reference)),
    ("is_odd", Case(gx.absolute(), odd=True)),
    ("is_scale_invariant", Case(gx.sgd(0.1), scale_invariant=True)),
    ("descends_on_complex_parameters", Case(gx.sgd(0.1), solves={"quadratic": (-0.1, 10)})),
    ("text_evaluates_back", _with_anything(object())),
    ("equal_by_content", _with_anything(object())),
    ("config_round_trip", _with_anything(object())),
    ("numbers_are_declared", _with_anything(0.5)),
    ("traced_numbers_are_the_same", _baked(0.5)),
    ("numbers_may_follow_schedules", _unschedulable(0.5)),
    *(("states_have_names", around(gx.adam(0.1))) for around in (*MISNAMED.values(), WITHOUT_A_ROLE)),
    *(("states_have_names", around(gx.scale_by_ema(0.9))) for around in (*MISNAMED.values(), WITHOUT_A_ROLE)),
]


@pytest.mark.parametrize(("law", "subject"), BROKEN, ids=[f"{i}-{law}" for i, (law, _) in enumerate(BROKEN)])
def test_a_broken_transform_is_found(law, subject):
    with pytest.raises(BrokenLawError, match=law):
        check(subject, [law])


def test_every_law_can_be_broken():
    assert {law for law, _ in BROKEN} == set(LAWS)


def test_check_takes_a_case_a_transform_a_factory_and_an_optax_pair():
    import optax

    laws = ["updates_keep_their_form", "jit_equals_eager"]
    for subject in (Case(gx.sgd(0.1)), gx.sgd(0.1), gx.sgd, gx.scale_by_ema, optax.scale(0.1)):
        assert check(subject, laws).kept == tuple(laws)


def test_the_report_says_what_was_kept_and_what_was_excused():
    report = check(Case(gx.sgd(0.1), "plain", excused={"one_trace": "for a reason"}), ["one_trace", "inputs_stay"])
    assert str(report) == "plain keeps 1 law:\n  inputs_stay\n  excused from one_trace: for a reason"


@pytest.mark.slow
def test_functions_among_the_arguments_excuse_from_what_needs_a_text():
    for tx in (gx.adamw(0.1, mask=gx.where(lambda path, p: p.ndim > 1)), gx.sgd(lambda step: 0.1 / (step + 1))):
        report = check(tx)
        assert {"text_evaluates_back", "config_round_trip"} <= set(report.excused)


def test_a_bare_pair_is_excused_from_what_it_cannot_be():
    pair = gx.memory(init=jnp.zeros_like, step=lambda g, m, p: 0.5 * m + g, emit=lambda g, m, p: m)
    assert "equal_by_content" in check(pair).excused


@pytest.mark.parametrize("around", MISNAMED.values(), ids=MISNAMED)
@pytest.mark.parametrize("ask", [lambda tx, p: gx.state_dict(tx, tx.init(p)), gx.summary], ids=["names", "summary"])
def test_a_state_that_is_not_where_the_role_has_it(around, ask):
    with pytest.raises(gx.GradtxValueError, match="the role 'wrapper' keeps the state of `inner` under a field or key"):
        ask(around(gx.chain(gx.identity(), gx.adam(0.1))), {"w": jnp.ones(2)})


def test_a_wrapper_that_computes_in_float64():
    assert check(KEPT(gx.scale_by_ema(0.9)), ["double_precision_is_kept"]).kept


def test_a_factory_of_transforms_without_a_role_is_told_so():
    with pytest.raises(BrokenLawError, match=r"takes the transforms `inner` and has no role.*role='wrapper'"):
        check(WITHOUT_A_ROLE(gx.adam(0.1)), ["states_have_names"])
    expression = gx.transformation(lambda inner: gx.chain(inner, gx.scale(0.5)))
    assert check(expression(gx.adam(0.1)), ["states_have_names"]).kept


@gx.transformation
def _with_a_key(deviation: gx.NonNegative = 0.1):
    """Adds noise, and keeps a typed random key."""

    def update(updates, key, params):
        key, used = jax.random.split(key)
        noise = gx.tree.random_like(used, updates)
        return jax.tree.map(lambda g, z: g + deviation * z, updates, noise), key

    return gx.treewise(update, lambda params: jax.random.key(0))


NOISY = {
    "names_do_not_matter": "the order of the leaves says which noise they get",
    "double_precision_is_kept": "the noise of float64 leaves is another than that of float32 leaves",
}


@pytest.mark.parametrize("law", [law for law in LAWS if law not in NOISY])
def test_a_typed_random_key_in_the_state(law):
    report = check(Case(_with_a_key(), excused=NOISY), [law])
    assert report.kept or report.excused


@pytest.mark.slow
@pytest.mark.parametrize("law", [law for law in LAWS if law not in NOISY])
def test_a_typed_random_key_deeper_in_the_state(law):
    assert check(Case(gx.chain(gx.adam(0.1), _with_a_key()), excused=NOISY), [law])


def test_an_unknown_law_is_refused():
    with pytest.raises(ValueError, match="there is no law 'gravity'"):
        check(gx.sgd(0.1), ["gravity"])


@pytest.mark.parametrize("progress", [True, False])
def test_check_shows_the_law_on_a_terminal(monkeypatch, progress):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    check(gx.sgd(0.1), ["one_trace", "is_odd", "inputs_stay"], progress=progress)
    shown = sys.stderr.getvalue().split("\r\x1b[K")[1:]
    assert shown == ["check: law 1 of 2, one_trace", "check: law 2 of 2, inputs_stay", ""] * progress
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    check(gx.sgd(0.1), ["one_trace"])
    assert sys.stderr.getvalue() == ""


def test_a_case_of_a_bare_pair():
    pair = (lambda params: (), lambda updates, state, params=None: (updates, state))
    assert check(Case(pair, "a pair"), ["one_trace"]).kept == ("one_trace",)

"""Invalid arguments and extras: the errors say what was expected and what was got."""

import jax
import jax.numpy as jnp
import pytest

import gradtx as gx
from gradtx import schedules as s

G = jnp.ones(2)


def _update(tx, **extra):
    return lambda: tx.update(G, tx.init(G), G, **extra)


REFUSED = {
    "half a step": (lambda: gx.hutchinson(2.5).init(G), "every: expected a positive whole number, got 2.5"),
    "no step": (lambda: gx.sophia(0.1, update_interval=0).init(G), "every: expected a positive whole number, got 0"),
    "a schedule of half a step": (lambda: s.every(2.5, 1.0, 0.0)(1), "steps: expected a whole number, got 2.5"),
    "too far": (lambda: gx.lookahead(gx.sgd(0.1), 2, 5.0), r"slow_step_size: expected a number in \[0, 1\], got 5.0"),
    "more than all": (lambda: gx.average_params(gx.sgd(0.1), 2.0), r"decay: expected a number in \[0, 1\], got 2.0"),
    "no bets": (lambda: gx.mechanize(gx.sgd(0.1), num_betas=0).init(G), "num_betas: expected a positive whole number"),
    "one for many": (lambda: gx.aggmo(0.1, 0.9), "aggmo: momentums: expected a list or tuple of numbers, got 0.9"),
    "labels of two kinds": (
        lambda: gx.partition({0: gx.sgd(0.1), "a": gx.sgd(0.1)}, "a"),
        r"partition: transforms: expected keys of one sortable type, got \[0, 'a'\]",
    ),
    "text for a schedule": (lambda: s.warmup(3, "slow")(0), "then: expected a schedule or a number, got 'slow'"),
    "text among schedules": (lambda: s.join([0.1, "x"], [3])(0), r"schedules\[1\]: expected a schedule or a number"),
    "many losses": (_update(gx.momo(), value=jnp.ones(3)), r"value: expected a single real number, got .* \(3,\)"),
    "a loss in a list": (_update(gx.polyak_sgd(), value=[1.0]), r"value: expected a number, got \[1.0\]"),
    "no loss": (_update(gx.reduce_on_plateau(), value=None), "value: expected a number, got None"),
    "a complex loss": (
        _update(gx.momo_adam(), value=jnp.complex64(1j)),
        "value: expected a single real number, got complex64",
    ),
    "a seed": (_update(gx.sophia(0.1), value_fn=jnp.sum, key=0), "key: expected a key of jax.random.key, .*, got 0"),
    "many keys": (
        _update(gx.hutchinson(), value_fn=jnp.sum, key=jax.random.split(jax.random.key(0))),
        "key: expected a key",
    ),
    "no such function": (
        lambda: gx.from_config({"factory": "record", "arguments": {"name": "x", "measure": {"name": "os.system"}}}),
        "nothing is named 'os.system'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, message = REFUSED[name]
    with pytest.raises((gx.GradtxValueError, gx.GradtxTypeError), match=message):
        make()


def test_numbers_stand_for_constant_schedules():
    assert s.warmup(4, 1e-3)(2) == pytest.approx(5e-4)
    assert list(s.join([0.5, s.constant(1.0)], [2])(jnp.arange(4))) == [0.5, 0.5, 1.0, 1.0]


def test_powers_of_schedules():
    line = s.linear(1.0, 3.0, 2)
    assert [float((line**2)(t)) for t in range(3)] == [1.0, 4.0, 9.0]
    assert (2**line)(2) == 8.0
    assert "scale_by_trust_ratio" in str(gx.describe(gx.fromage(s.linear(0.1, 0.0, 10))))
    assert "scale_by_dadapt" in str(gx.describe(gx.dadapt_adamw(b2=s.linear(0.9, 0.99, 10))))


def test_functions_with_a_name_are_values():
    for tx in (
        gx.record("norm", gx.tree.norm),
        gx.accumulate_gradients(gx.sgd(0.1), 2, skip=gx.has_nonfinite),
        gx.parallel(jnp.maximum, gx.sign(), gx.square()),
    ):
        assert eval(repr(tx), {"jnp": jnp, **vars(gx)}) == tx == gx.from_config(gx.to_config(tx))


def test_a_legacy_key_is_a_key():
    for key in (jax.random.key(0), jax.random.PRNGKey(0)):
        updates, _ = _update(gx.hutchinson(), value_fn=lambda p: jnp.sum(p**2), key=key)()
        assert jnp.allclose(updates, 2.0)


def test_every_number_may_follow_a_schedule_where_a_transform_is_described():
    for tx in (
        gx.scale_by_ema(s.linear(0.8, 0.9, 9)),
        gx.adam(0.1, b2=s.linear(0.9, 0.99, 9)),
        gx.yogi(s.constant(0.1)),
    ):
        assert "schedules." in str(gx.describe(tx))
        assert gx.summary(tx, G).nbytes > 0

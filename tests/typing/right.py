"""Code of users in which a type checker must find nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, assert_type

import flax.nnx as nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx as gx
import gradtx.optax as facade
from gradtx import schedules


class Params(NamedTuple):
    w: jax.Array
    b: jax.Array


@dataclass
class Model:
    w: jax.Array


params = Params(jnp.ones(3), jnp.zeros(3))
grads = params
tx = gx.adam(1e-3)
theirs = optax.adam(1e-3)
assert_type(tx, gx.GradientTransformation)

# Hyperparameters.
gx.adam(1)
gx.adam(schedules.linear(1e-3, 0.0, 10))
gx.adam(2 * schedules.warmup(10, schedules.cosine_decay(1e-3, 90)) + 1e-5)
gx.adam(schedules.join([schedules.constant(1e-3), 1e-4, lambda step: 1e-5], [10, 20]))
gx.adam(lambda step: 1e-3)
gx.adam(lambda step: 1e-3 / (1 + step))
gx.adam(optax.linear_schedule(1e-3, 0.0, 10))
gx.adam(optax.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100))
gx.adam(jnp.float32(1e-3))
gx.adam(jnp.asarray(1e-3))
gx.adam(np.float32(1e-3))
gx.adam(np.float64(1e-3), b1=np.array(0.9))
gx.sgd(1e-3, momentum=None)
gx.sgd(1e-3, momentum=0.9)
gx.aggmo(1e-3, momentums=(0.0, 0.9, lambda step: 0.99))
assert_type(schedules.linear(1e-3, 0.0, 10), gx.Schedule)
assert_type(schedules.linear(1e-3, 0.0, 10)(5), jax.Array)


def decayed(step: int) -> float:
    return 1e-3 * 0.99**step


def halved(step: jax.Array) -> jax.Array:
    return 1e-3 / (1 + step)


gx.adam(decayed)
gx.adam(halved, b1=halved)

# Transforms among the arguments, also of Optax.
gx.chain(gx.clip(1.0), tx)
gx.chain(("clip", gx.clip(1.0)), ("opt", tx))
gx.chain(optax.clip(1.0), tx)
gx.chain(("clip", optax.clip(1.0)), ("opt", tx))
gx.chain(*[gx.clip(1.0), tx, theirs])
gx.ratio(gx.scale_by_ema(0.9), gx.chain(gx.square(), gx.scale_by_ema(0.999), gx.sqrt()), eps=1e-8)
gx.partition({"decay": gx.adamw(1e-3), "rest": optax.sgd(1e-2)}, gx.by_path({"**/b": "rest", "**": "decay"}))
gx.partition({True: tx, False: theirs}, lambda params: jax.tree.map(lambda p: p.ndim > 1, params))
gx.masked(tx, {"w": True, "b": False}, rest=gx.set_to_zero())
gx.masked(tx, lambda params: jax.tree.map(lambda p: p.ndim > 1, params))
gx.masked(tx, gx.where(lambda path, p: p.ndim > 1))
gx.adamw(1e-3, weight_decay=0.1, mask={"w": True, "b": False})
gx.accumulate_gradients(theirs, 4)
gx.inject(tx)

# The other direction.
optax.chain(optax.clip(1.0), tx)
optax.MultiSteps(tx, 2)
optax.masked(tx, {"w": True, "b": False})
ours_for_theirs: optax.GradientTransformation = tx


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.linear = nnx.Linear(2, 3, rngs=rngs)


net = Net(nnx.Rngs(0))
nnx.Optimizer(net, tx, wrt=nnx.Param)

# A transform as a pair, and as a value.
init, update = tx
state = init(params)
updates, state = update(grads, state, params)
state = tx.init(Model(jnp.ones(3)))
updates, state = tx.update(grads, state, params=params, value=1.0)
own = gx.GradientTransformation(lambda params: (), lambda updates, state, params=None: (updates, state))
rate: float = tx.learning_rate
one_minus = 1 - tx.b1
print(tx.b1, tx.b1 * 2, f"{tx.b1:.2f}", float(tx.b1), tx.arguments["b1"], gx.chain(tx).parts[0].b1)
assert_type(tx.replace(b1=0.8), gx.GradientTransformation)
gx.chain(tx, own)

# Steps keep the type of the parameters.
assert_type(gx.apply_updates(params, updates), Params)
params = gx.apply_updates(params, updates)


def loss(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((params.w * x + params.b - y) ** 2)


def model_loss(model: Model, batch: dict[str, jax.Array]) -> tuple[jax.Array, int]:
    return jnp.mean(model.w * batch["x"]), 1


def untyped_loss(params, batch):
    return jnp.mean(params["w"] * batch)


step = gx.make_train_step(loss, tx)
x = jnp.ones(3)
params, state, value = step(params, state, x, x)
assert_type(step(params, state, x, x)[0], Params)
step(params, state, x, x, key=jax.random.key(0))
print(step.lower(params, state, x, x).as_text(), float(value))
assert_type(gx.make_train_step(loss, theirs, accumulate=2)(params, state, x, x)[0], Params)
model, state, (value, aux) = gx.make_train_step(model_loss, tx, has_aux=True)(Model(x), state, {"x": x})
assert_type(model, Model)
gx.make_train_step(untyped_loss, tx)({"w": x}, state, x)
gx.make_train_step(lambda params, batch: jnp.sum(params * batch), tx, donate=False)(x, state, x)
any_loss: Callable[..., jax.Array] = loss
tree, state, value = gx.make_train_step(any_loss, tx)(params, state, x, x)


# Factories of users.
@gx.transformation
def mine(x: gx.Scalar = 0.1):
    return gx.scale(x)


@gx.transformation
def computed(learning_rate: gx.NonNegative, b1: gx.Decay = 0.9, power: gx.Scalar | None = None):
    rate = learning_rate * jnp.sqrt(1 - b1**2)
    return gx.chain(gx.scale_by_ema(b1), gx.scale(-rate if power is None else -(rate**power)))


@gx.transformation(role="wrapper")
def around(inner: gx.Transform, factor: gx.Positive = 2.0):
    return gx.chain(inner, gx.scale(1 / factor))


@gx.schedule
def root(value: gx.NonNegative):
    return lambda step: value / jnp.sqrt(1 + step)


assert_type(mine(), gx.GradientTransformation)
assert_type(around(tx), gx.GradientTransformation)
assert_type(root(1.0), gx.Schedule)
gx.chain(mine(0.2), mine(schedules.linear(1.0, 0.0, 10)), mine(x=lambda step: 0.1), computed(1e-3), around(theirs))
gx.adam(root(1e-3))


def as_in_optax(rate: facade.ScalarOrSchedule) -> facade.GradientTransformation:
    return facade.chain(facade.clip_by_global_norm(1.0), facade.adamw(rate, mu_dtype="bfloat16"), gx.scale(1.0))


held: facade.OptState = as_in_optax(facade.cosine_decay_schedule(1e-3, 10)).init(params)
facade.tree.get(held, "count")
facade.contrib.muon(1e-3)

"""Mistakes of users: a type checker must find one in each line that is marked, and in no other."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import gradtx as gx
import gradtx.optax as facade
from gradtx import schedules


class Params(NamedTuple):
    w: jax.Array


params = Params(jnp.ones(3))
tx = gx.adam(1e-3)
state = tx.init(params)

# Hyperparameters.
gx.adamm(1e-3)  # error
gx.adam("fast")  # error
gx.adam(None)  # error
gx.adam([1e-3])  # error
gx.adam(1e-3, b1="x")  # error
gx.adam(1e-3, beta1=0.9)  # error
gx.adam(gx.adamw)  # error
gx.adam(gx.clip(1.0))  # error
gx.sgd()  # error
gx.aggmo(1e-3, momentums=0.9)  # error
schedules.linear(1e-3, "end", 10)  # error
schedules.linear(1e-3, 0.0)  # error

# Transforms.
gx.chain(gx.adam)  # error
gx.chain([tx])  # error
gx.chain(1.0, tx)  # error
gx.chain((tx, "opt"))  # error
gx.ratio(1.0, 2.0)  # error
gx.partition({"all": gx.adam}, "all")  # error
gx.masked(0.1, {"w": True})  # error
gx.accumulate_gradients(gx.adam, 4)  # error
tx.stepp()  # error
tx.updates(params, state)  # error
tx.init()  # error
tx.update(params)  # error
gx.GradientTransformation(1, 2)  # error

# Steps.
number: int = gx.apply_updates(params, params)  # error


def loss(params: Params, x: jax.Array) -> jax.Array:
    return jnp.sum(params.w * x)


step = gx.make_train_step(loss, tx)
step({"w": jnp.ones(3)}, state, jnp.ones(3))  # error
step(params)  # error
gx.make_train_step(loss, gx.adam)  # error
gx.make_train_step(loss(params, params.w), tx)  # error


@gx.transformation
def mine(x: gx.Scalar = 0.1):
    return gx.scale(x)


mine(1.0, 2.0)  # error
mine(y=1.0)  # error


@gx.transformation(role="wrapper")
def around(inner: gx.Transform):
    return gx.chain(inner)


around(1.0)  # error
around(gx.adam)  # error

facade.adam(1e-3, beta1=0.9)  # error
missing = facade.adan_w  # error

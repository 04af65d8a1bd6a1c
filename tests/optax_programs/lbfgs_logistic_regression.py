"""Regularized logistic regression to convergence by L-BFGS with its line search, in a while loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def run_opt(init_params, fun, opt, max_iter, tol):
    value_and_grad_fun = optax.value_and_grad_from_state(fun)

    def step(carry):
        params, state = carry
        value, grad = value_and_grad_fun(params, state=state)
        updates, state = opt.update(grad, state, params, value=value, grad=grad, value_fn=fun)
        return optax.apply_updates(params, updates), state

    def continuing_criterion(carry):
        _, state = carry
        iter_num = optax.tree_utils.tree_get(state, "count")
        grad = optax.tree_utils.tree_get(state, "grad")
        err = optax.tree_utils.tree_norm(grad)
        return (iter_num == 0) | ((iter_num < max_iter) & (err >= tol))

    return jax.lax.while_loop(continuing_criterion, step, (init_params, opt.init(init_params)))


def main() -> list[float]:
    rng = np.random.default_rng(49)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    y = (x @ rng.normal(size=4) + 0.5 * rng.normal(size=60) > 0).astype(np.float32)

    def fun(params):
        logits = x @ params["w"] + params["b"]
        return optax.sigmoid_binary_cross_entropy(logits, y).mean() + 0.05 * jnp.sum(params["w"] ** 2)

    params = {"w": jnp.zeros(4), "b": jnp.zeros(())}
    solver = optax.lbfgs(memory_size=5)
    final, _state = jax.jit(lambda p: run_opt(p, fun, solver, max_iter=25, tol=1e-4))(params)
    return [round(float(fun(params)), 4), round(float(fun(final)), 4)]

"""Every named optimizer solves three problems in the steps that its case declares, from starts it was not tuned to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import OPTIMIZERS

import gradtx as gx
from gradtx import problems
from gradtx.testing.descent import descend, solver

PROBLEMS = (problems.quadratic, problems.rosenbrock, problems.ravine)
NAMES = [problem.__name__ for problem in PROBLEMS]
DECLARED = [case for case in OPTIMIZERS if case.solves]


@jax.jit
def _losses(tx, which, starts, steps):
    """The losses after so many steps, one from each start. One compilation for all problems and learning rates."""
    losses = [problem(starts.shape[1:]).loss for problem in PROBLEMS]

    def loss(p):
        return jax.lax.switch(which, losses, p)

    return jax.vmap(lambda start: descend(tx, loss, start, steps))(starts)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", DECLARED, ids=lambda case: case.name)
def test_it_solves(case, name):
    tx, steps = solver(case, name)
    problem = PROBLEMS[NAMES.index(name)](case.shape or (4,))
    away = 0.3 * np.random.default_rng(0).standard_normal((2, *problem.start.shape)).astype(np.float32)
    losses = _losses(tx, NAMES.index(name), jnp.stack([problem.start] * 2) + away, steps)
    assert jnp.all(losses < problem.tolerance), f"{tx} leaves {losses} after {steps} steps"


UNSOLVED = {"muon_hyperball": "the norm of the parameters stays as it is, and that of the minimum is another"}


def test_every_named_optimizer_declares_what_it_solves():
    solved = {(case.transform.factory_name, name) for case in DECLARED for name in case.solves}
    wanted = {(case.transform.factory_name, name) for case in OPTIMIZERS for name in NAMES}
    wanted -= {(factory, name) for factory in UNSOLVED for name in NAMES}
    assert wanted - solved == set(), "add solves={problem: (learning rate or transform, steps)} to their cases"


def _curvatures(problem):
    hessian = jax.jit(jax.hessian(problem.loss))(problem.minimum)
    return np.linalg.eigvalsh(hessian.reshape([problem.minimum.size] * 2))


@pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)
@pytest.mark.parametrize("shape", [(2,), (4, 3)])
def test_the_minimum_is_where_it_is_said_to_be(problem, shape):
    one = problem(shape)
    assert one.start.shape == one.minimum.shape == shape
    assert one.loss(one.minimum) == 0 < one.tolerance < one.loss(one.start)
    assert np.all(_curvatures(one) > 0)


def test_the_conditions_are_as_given():
    for one in (problems.quadratic((4,), 30.0), problems.ravine((4,), 30.0)):
        curvatures = _curvatures(one)
        np.testing.assert_allclose(curvatures[-1] / curvatures[0], 30.0, rtol=1e-4)


def test_pairs_need_an_even_number():
    with pytest.raises(gx.GradtxValueError, match=r"expected an even number of coordinates, got 3 in the shape \(3,\)"):
        problems.rosenbrock((3,))

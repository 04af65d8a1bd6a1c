"""How cases are made."""

from functools import partial

import references

from gradtx import schedules
from gradtx.testing import Case

SMALL_EPS = 1e-18  # so that an invariance to the gradient's scale is not hidden by eps
CALLS_IN_A_LOOP = {"eager_steps_compile_once": "its loop calls a function of the caller, which is another at each step"}


def case(name, transform, reference=None, **facts):
    """A case by name; exceptions are facts, with their reasons."""
    return Case(transform, name, reference, **facts)


def reference(name, learning_rate=1e-3, **arguments):
    """The NumPy reference of this name, with these arguments."""
    return partial(getattr(references, name), learning_rate=learning_rate, **arguments)


def by_default(factory, solves):
    """What the factory solves with its default numbers, where the case has others: a large decay moves the minimum."""
    return {name: (factory(schedules.cosine_decay(rate, steps)), steps) for name, (rate, steps) in solves.items()}

"""NumPy float64 references of the optimizers, written from their papers."""

from .adadelta import adadelta
from .adagrad import adagrad
from .adam import adam, adamax, adamw
from .adam_variants import adamaxw, amsgrad, laprop, nadam, nadamw, padam, qhadam, yogi
from .gradient_descent import nesterov, sgd
from .more_descent import aggmo, optimistic_gradient_descent, qhm
from .rmsprop import rmsprop
from .sign_family import lion, sign_sgd, signum, tiger

__all__ = [
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "aggmo",
    "amsgrad",
    "laprop",
    "lion",
    "nadam",
    "nadamw",
    "nesterov",
    "optimistic_gradient_descent",
    "padam",
    "qhadam",
    "qhm",
    "rmsprop",
    "sgd",
    "sign_sgd",
    "signum",
    "tiger",
    "yogi",
]

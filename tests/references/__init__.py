"""NumPy float64 references of the optimizers, written from their papers."""

from .adagrad import adagrad
from .adam import adam, adamax, adamw
from .gradient_descent import nesterov, sgd
from .rmsprop import rmsprop

__all__ = ["adagrad", "adam", "adamax", "adamw", "nesterov", "rmsprop", "sgd"]

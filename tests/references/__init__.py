"""NumPy float64 references of the optimizers, written from their papers."""

from .adadelta import adadelta
from .adagrad import adagrad
from .adam import adam, adamax, adamw
from .adam_late import acprop, adamp, ademamix, adopt, mars, simplified_ademamix
from .adam_more import adabelief, adabound, adan, optimistic_adam, radam, rmsprop_corrected
from .adam_variants import adamaxw, amsgrad, laprop, nadam, nadamw, padam, qhadam, yogi
from .curvature import adahessian, sophia
from .descent_more import cautious, cautious_adam, madgrad, nesterov_lookahead, polyak_sgd, rprop
from .gradient_descent import nesterov, sgd
from .layerwise import fromage, lamb, lars, novograd
from .matrices import adamuon, mars_muon, muon, muon_hyperball, normuon, polargrad, scion
from .matrices_more import dion, kl_shampoo, shampoo, soap
from .matrices_third import (
    PROBLEMS,
    approximate_wolfe_holds,
    dion2,
    galore_adamw,
    lbfgs_direction,
    newton_cg_direction,
    psgd_kron,
    wolfe_holds,
)
from .memory_light import adafactor, sm3
from .momentum_models import momo, momo_adam
from .more_descent import aggmo, optimistic_gradient_descent, qhm
from .rate_free import cocob, dadapt_adamw, dog, dowg, mechanize_sgd, prodigy
from .rmsprop import rmsprop
from .schedule_free import (
    dpsgd,
    schedule_free_adamw,
    schedule_free_adamw_average,
    schedule_free_sgd,
    schedule_free_sgd_average,
)
from .sign_family import lion, sign_sgd, signum, tiger

__all__ = [
    "PROBLEMS",
    "acprop",
    "adabelief",
    "adabound",
    "adadelta",
    "adafactor",
    "adagrad",
    "adahessian",
    "adam",
    "adamax",
    "adamaxw",
    "adamp",
    "adamuon",
    "adamw",
    "adan",
    "ademamix",
    "adopt",
    "aggmo",
    "amsgrad",
    "approximate_wolfe_holds",
    "cautious",
    "cautious_adam",
    "cocob",
    "dadapt_adamw",
    "dion",
    "dion2",
    "dog",
    "dowg",
    "dpsgd",
    "fromage",
    "galore_adamw",
    "kl_shampoo",
    "lamb",
    "laprop",
    "lars",
    "lbfgs_direction",
    "lion",
    "madgrad",
    "mars",
    "mars_muon",
    "mechanize_sgd",
    "momo",
    "momo_adam",
    "muon",
    "muon_hyperball",
    "nadam",
    "nadamw",
    "nesterov",
    "nesterov_lookahead",
    "newton_cg_direction",
    "normuon",
    "novograd",
    "optimistic_adam",
    "optimistic_gradient_descent",
    "padam",
    "polargrad",
    "polyak_sgd",
    "prodigy",
    "psgd_kron",
    "qhadam",
    "qhm",
    "radam",
    "rmsprop",
    "rmsprop_corrected",
    "rprop",
    "schedule_free_adamw",
    "schedule_free_adamw_average",
    "schedule_free_sgd",
    "schedule_free_sgd_average",
    "scion",
    "sgd",
    "shampoo",
    "sign_sgd",
    "signum",
    "simplified_ademamix",
    "sm3",
    "soap",
    "sophia",
    "tiger",
    "wolfe_holds",
    "yogi",
]

"""`optax.perturbations`, which is handed on from the installed Optax."""

from gradtx.optax._handed_on import hand_on

__getattr__ = hand_on("perturbations")

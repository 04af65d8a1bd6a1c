"""Functions of matrices: the last two axes of an array are the matrix, those before them a batch.

    polar(x)                       the nearest matrix with orthogonal rows or columns
    minimax_polynomials(steps)     the polynomials that it is computed with
    inverse_root(a, p)             the inverse p-th root of a Hermitian matrix
    eigenbasis(a)                  the eigenvectors of a Hermitian matrix, of the largest eigenvalue first
    next_basis(a, q)               one step from a basis towards them
    cg(matvec, b)                  the solution of a system by conjugate gradients

Exact for all scales: a matrix is divided by its largest element first.
"""

from gradtx._base.polynomials import Polynomials as Polynomials
from gradtx._base.polynomials import minimax_polynomials as minimax_polynomials
from gradtx._linalg.bases import eigenbasis as eigenbasis
from gradtx._linalg.bases import next_basis as next_basis
from gradtx._linalg.cg import ConjugateGradients as ConjugateGradients
from gradtx._linalg.cg import cg as cg
from gradtx._linalg.polar import polar as polar
from gradtx._linalg.roots import InverseRoot as InverseRoot
from gradtx._linalg.roots import inverse_root as inverse_root

__all__ = [
    "ConjugateGradients",
    "InverseRoot",
    "Polynomials",
    "cg",
    "eigenbasis",
    "inverse_root",
    "minimax_polynomials",
    "next_basis",
    "polar",
]


def __dir__() -> list[str]:
    return __all__

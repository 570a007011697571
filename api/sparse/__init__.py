"""Sparse derivatives: patterns, colourings, and what a call of a sparse Jacobian or Hessian needs."""

from .colouring import Colouring, colouring
from .pattern import Pattern

__all__ = ["Colouring", "Pattern", "colouring"]

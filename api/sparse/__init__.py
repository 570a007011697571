"""Sparse derivatives: patterns, colourings, and what a call of a sparse Jacobian or Hessian needs."""

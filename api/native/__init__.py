"""Transforms inside of the user's compiled code: numba's and C."""

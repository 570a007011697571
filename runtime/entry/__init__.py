"""Calls as machine code: CPython's objects, and numba's calling convention."""

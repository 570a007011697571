"""What generated code calls and numba does not have: BLAS, threads, vector functions."""

"""Idiom recognition: loops that are matrix products become calls of BLAS."""

"""How numba is made to compile what is generated: all other imports of numba."""

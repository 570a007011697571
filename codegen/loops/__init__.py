"""Rewrites of the order in which iterations run; `analysis` says what is legal."""

"""Rewrites of the adjoint's own arithmetic, and of nothing else: what `Program.cotangents` names."""

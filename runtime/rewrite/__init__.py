"""Rewrites of generated text on its way to the compiler."""

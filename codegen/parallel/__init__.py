"""Loops that run on all cores: which ones, and how they are written."""

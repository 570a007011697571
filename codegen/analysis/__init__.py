"""Analyses of a program: they answer questions, and write nothing."""

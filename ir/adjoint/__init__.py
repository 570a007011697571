"""Reverse mode: from a program to the program of its derivative."""

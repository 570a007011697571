"""Which elements of the results of a program depend on which elements of its parameters."""

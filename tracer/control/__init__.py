"""Control flow of staged code: regions of the program, or what Python does."""

"""Sets of the inputs that numbers depend on, and colourings of sparse matrices: loops over integers, compiled."""

"""The rewrite of a function's source: Python's ast only, no symbols."""

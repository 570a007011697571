"""Generated code as files that need no pullback."""

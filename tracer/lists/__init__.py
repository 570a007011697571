"""Lists, and what gives values one after the other."""

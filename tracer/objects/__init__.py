"""Objects of the user's classes: their special methods are staged like functions."""

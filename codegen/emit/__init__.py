"""From loops over scalars to Python text; nothing is decided here but spelling."""

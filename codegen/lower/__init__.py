"""From array operations to loops over scalars."""

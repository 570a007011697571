"""Where values live: in registers, in place of others, in memory of their own."""

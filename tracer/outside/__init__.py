"""What a trace reads of the world outside of the call, assumes of it, and does to it."""

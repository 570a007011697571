"""What user code computes with while it is traced; no control flow."""

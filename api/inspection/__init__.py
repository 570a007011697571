"""Programs and code to look at; nothing is changed."""

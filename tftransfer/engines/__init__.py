"""Frozen functions, run fast over batches of rows."""

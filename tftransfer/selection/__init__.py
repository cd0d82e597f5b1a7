"""Choosing between models: honest comparisons on held-out data."""

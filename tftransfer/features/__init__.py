"""Rows that a frozen part of a model turns into stored features, and their names."""

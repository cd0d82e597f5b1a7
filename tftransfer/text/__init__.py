"""Strings to token ids and word counts, inside the graph."""

"""Scores of a target without labels: told, not trusted to choose."""

"""Structured pruning: whole units and channels go, and the model gets smaller."""

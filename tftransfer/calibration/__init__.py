"""Probabilities that mean what they say, and how far a row is from known data."""

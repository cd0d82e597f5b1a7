"""Distances between domains, as functions and as layers for plain fit."""

"""Training in stages with plain fit."""

"""Test-time augmentation: views of an image, and the mean of what a model says."""

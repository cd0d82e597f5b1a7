"""Where in an image a model finds what it says."""

"""Ways to label a target from its features, one file each."""

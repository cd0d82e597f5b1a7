"""Learning rates layer by layer, for every Keras optimizer."""

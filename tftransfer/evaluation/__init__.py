"""How good a model is: figures with intervals, on any Keras model or plain arrays."""

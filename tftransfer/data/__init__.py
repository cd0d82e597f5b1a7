"""Sources of examples, all as batched tf.data."""

"""Which part of a network learns: blocks, trainable depth, BatchNormalization."""

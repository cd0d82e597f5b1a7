"""One seed for everything random in training."""

import keras
import numpy as np


def seed_training(model, seed):
    """Seed all random generators, those inside the model included.

    Dropout and augmentation layers keep their own state, which goes on from wherever
    it was: it is set anew from the seed, each layer its own.

    Args:
        model: `keras.Model`.
        seed: Whole number from 0 to 2**32 - 1.
    """
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.path.endswith("seed_generator_state"):
            variable.assign(np.array([generator.integers(2**31), 0]))

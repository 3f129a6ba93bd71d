"""The global state that a training needs, set for its time and put back."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import config  # the public interface can only enable determinism


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Let TensorFlow compute the same each time in the block.

    Afterwards TensorFlow does as it did before, and the random numbers of Python and NumPy go on where they were: the
    seeds that a training sets are its own. Those of TensorFlow and Keras remain; both draw from them only when asked to
    without a seed.
    """
    before, python, numpy = config.is_op_determinism_enabled(), random.getstate(), np.random.get_state()
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        if not before:
            config.disable_op_determinism()
        random.setstate(python)
        np.random.set_state(numpy)


def reseed(model: keras.Model, seed: int) -> None:
    """Make what a model draws at random follow from `seed`, such as what drops out."""
    generators = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    for number, variable in enumerate(generators):
        variable.assign([seed, number])

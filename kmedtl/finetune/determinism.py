"""The global state that a training needs, set for its time and put back."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

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

"""Images that are in memory, where a pipeline expects a store: such as corrupted copies, which no file holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class ImagesInMemory:
    """Images in a fixed order; `count`, `digest` and `images` as of `kmedtl.data.store.Store`.

    Attributes:
        pixels: uint8 (N, size, size, channels).
    """

    pixels: np.ndarray

    @property
    def count(self) -> int:
        return len(self.pixels)

    def digest(self, records: np.ndarray) -> str:
        """Return SHA-256, hexadecimal, of the pixels of some records, int (n,), in their order."""
        return hashlib.sha256(self.pixels[records].tobytes()).hexdigest()

    def images(self) -> tf.data.Dataset:
        """Return every image as uint8 (size, size, channels), in the order of `pixels`."""
        return tf.data.Dataset.from_tensor_slices(self.pixels)

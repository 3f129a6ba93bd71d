"""tf.data pipelines over the store. An epoch is a pure function of its seed: nothing else decides its order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

from kmedtl.data.augment import augmentation
from kmedtl.data.store import Store

SHUFFLE_BUFFER = 2048  # images; the store's own order is shuffled already


@dataclass(frozen=True)
class Pipeline:
    """Batches of one split.

    Attributes:
        store: where the pixels are.
        table: the split's rows in the order of `record`, which is the order in which `images` yields them.
        batch_size: images a batch; the last one may be smaller.
    """

    store: Store
    table: pd.DataFrame
    batch_size: int

    @property
    def labels(self) -> np.ndarray:
        return self.table["label"].to_numpy()

    @property
    def steps(self) -> int:
        return -(-len(self.table) // self.batch_size)

    def images(self) -> tf.data.Dataset:
        """Return float32 batches (N, size, size, C) in 0–255, in the table's order."""
        return self.augmented(seed=0, augment="none")

    def augmented(self, seed: int, augment: str) -> tf.data.Dataset:
        """Return float32 batches like `images`, augmented as `seed` says."""
        plain = self._selected().map(lambda image, _: image).batch(self.batch_size)
        return plain.map(_augment(augment, seed), num_parallel_calls=1).prefetch(2)

    def epoch(self, seed: int, augment: str) -> tf.data.Dataset:
        """Return one epoch of (images, labels), shuffled and augmented as `seed` says."""
        change = _augment(augment, seed)
        shuffled = self._selected().shuffle(min(len(self.table), SHUFFLE_BUFFER), seed=seed).batch(self.batch_size)
        return shuffled.map(lambda images, labels: (change(images), labels), num_parallel_calls=1).prefetch(2)

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Return about `count` images as uint8 (n, size, size, C), each label by its share."""
        share = min(1.0, count / len(self.table))
        chosen = [
            record
            for _, part in self.table.groupby("label")
            for record in part["record"].sample(n=max(1, round(share * len(part))), random_state=seed)
        ]
        return Pipeline(self.store, self.table[self.table["record"].isin(chosen)], self.batch_size).pixels()

    def pixels(self) -> np.ndarray:
        """Return every image as uint8 (N, size, size, C), in the table's order."""
        return np.stack([image for image, _ in self._selected().as_numpy_iterator()])

    def _selected(self) -> tf.data.Dataset:
        label_of = np.full(self.store.count, -1, np.int64)
        label_of[self.table["record"]] = self.labels
        labels = tf.constant(label_of)
        numbered = self.store.images().enumerate()
        selected = numbered.filter(lambda record, _: labels[record] >= 0)
        selected = selected.map(lambda record, image: (image, labels[record]))
        return selected.apply(tf.data.experimental.assert_cardinality(len(self.table)))


def pipelines(store: Store, table: pd.DataFrame, batch_size: int) -> dict[str, Pipeline]:
    """Return a pipeline for each split of `table` (columns `record`, `label`, `split`)."""
    return {
        split: Pipeline(store, part.sort_values("record").reset_index(drop=True), batch_size)
        for split, part in table.groupby("split")
    }


def _augment(preset: str, seed: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the preset as a function of uint8 batches; map it one call at a time, its random state is a sequence."""
    layers = augmentation(preset, seed)

    def change(images: tf.Tensor) -> tf.Tensor:
        images = _to_float(images)
        for layer in layers:
            images = layer(images, training=True)
        return images

    return change


def _to_float(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32)

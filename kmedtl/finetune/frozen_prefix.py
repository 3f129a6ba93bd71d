"""The frozen part of a model, computed once: a stage then trains only what lies behind it.

The graph is cut at the end of the last block before the first trainable one. The prefix runs once over each augmented
view of each training image and once over the validation images; the suffix, whose layers and weights are the model's
own, trains on what it handed on. A training step costs seven to eight times a forward pass, so this is most of the
time of a stage.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from kmedtl.backbones.blocks import Block, end_tensors
from kmedtl.data.pipeline import Pipeline
from kmedtl.errors import UserError


@dataclass(frozen=True)
class Cut:
    """A model in two: `suffix(prefix(images))` is what the whole model answers, with the same weights."""

    prefix: keras.Model
    suffix: keras.Model


def cut(model: keras.Model, blocks: Sequence[Block], trainable: Sequence[str]) -> Cut | None:
    """Return the model cut before its first trainable block, or None where that is the first block of all."""
    first = next(number for number, block in enumerate(blocks) if block.name in trainable)
    if first == 0:
        return None
    ends = end_tensors(model, blocks[first - 1])
    return Cut(keras.Model(model.inputs, ends), keras.Model(ends, model.outputs))


class Activations:
    """What a prefix hands on for every image and view, float16 in files that vanish with this object."""

    def __init__(self, prefix: keras.Model, count: int, views: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="kmedtl-activations-")
        self.arrays = [
            _allocate(Path(self._folder.name) / str(number), (views, count, *output.shape[1:]))
            for number, output in enumerate(prefix.outputs)
        ]

    def fill(self, view: int, outputs: Iterable[Sequence[tf.Tensor]]) -> None:
        """Write one view from batches of the prefix's outputs, in the order of the table."""
        start = 0
        for batch in outputs:
            for array, output in zip(self.arrays, batch, strict=True):
                array[view, start : start + len(output)] = output
            start += len(batch[0])


def _allocate(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Return a float16 array in a file whose space is taken now: a disk that fills up later would kill the process."""
    size = int(np.prod(shape)) * np.dtype(np.float16).itemsize
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise UserError(
            f"{path.parent}: no room for {size / 1e9:.1f} GB of activations ({error.strerror}); "
            "set TMPDIR to a larger disk, or the stage's views to 0."
        ) from None
    return np.memmap(path, np.float16, "r+", shape=shape)


class CachedEpoch(keras.utils.PyDataset):
    """One epoch over cached activations: a random order, and a random view of each image, as the seed says."""

    def __init__(self, activations: Activations, labels: np.ndarray, batch_size: int, seed: int) -> None:
        super().__init__()
        random = np.random.default_rng(seed)
        self._arrays, self._labels, self._batch_size = activations.arrays, labels, batch_size
        self._order = random.permutation(len(labels))
        self._views = random.integers(len(self._arrays[0]), size=len(labels))

    def __len__(self) -> int:
        return -(-len(self._order) // self._batch_size)

    def __getitem__(self, number: int) -> tuple[np.ndarray | tuple[np.ndarray, ...], np.ndarray]:
        rows = self._order[number * self._batch_size : (number + 1) * self._batch_size]
        inputs = tuple(array[self._views[rows], rows].astype(np.float32) for array in self._arrays)
        return inputs if len(inputs) > 1 else inputs[0], self._labels[rows]


def cache(
    prefix: keras.Model, data: dict[str, Pipeline], views: int, augment: str, seed: int
) -> dict[str, Activations]:
    """Return the prefix's activations: `views` augmented ones of each training image, one of each validation image."""
    compute = tf.function(
        lambda images: keras.tree.flatten(prefix(images, training=False)),
        input_signature=[tf.TensorSpec(prefix.inputs[0].shape, tf.float32)],  # traced once, for any batch
    )
    train = Activations(prefix, len(data["train"].table), views)
    val = Activations(prefix, len(data["val"].table), 1)
    steps = views * data["train"].steps + data["val"].steps
    with tqdm(total=steps, desc="frozen part", unit="step", leave=False, ncols=100) as bar:

        def outputs(batches: tf.data.Dataset) -> Iterator[Sequence[tf.Tensor]]:
            for images in batches:
                yield compute(images)
                bar.update()

        for view in range(views):
            train.fill(view, outputs(data["train"].augmented(seed + view, augment)))
        val.fill(0, outputs(data["val"].images()))
    return {"train": train, "val": val}

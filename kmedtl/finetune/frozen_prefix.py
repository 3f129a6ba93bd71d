"""The frozen part of a model, computed once: a stage then trains only what lies behind it.

The graph is cut at the end of the last block before the first trainable one. The prefix runs once over each augmented
view of each training image and once over the validation images; the suffix, whose layers and weights are the model's
own, trains on what it handed on. A training step costs seven to eight times a forward pass, so this is most of the
time of a stage. Stages that go deeper and deeper share one pass: what a later one cuts off, no earlier one has trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from kmedtl.backbones.blocks import HEAD, Block, end_tensors, frontier
from kmedtl.data.manifest import UNKNOWN, UNKNOWN_MASK
from kmedtl.data.pipeline import LEARNED, Batch, Pipeline, Variation
from kmedtl.data.sampling import balanced
from kmedtl.finetune.determinism import reseed
from kmedtl.finetune.frozen_engine import Engine, engine_for, with_variables
from kmedtl.finetune.mix_style import styled
from kmedtl.heads.fields import given_fields
from kmedtl.heads.pooling import pooling_of
from kmedtl.system.disk import reserve, room_on
from kmedtl.system.progress import progress
from kmedtl.system.scratch import Scratch
from kmedtl.tasks.task import Targets

VIEW_SEEDS = 20  # apart, so that no two views share a layer's seed
REMEDY = "set TMPDIR to a larger disk, or lower training.cache_gigabytes"


@dataclass(frozen=True)
class ModelSplit:
    """A model in two: `suffix(prefix(images))` is what the whole model answers, with the same weights.

    Attributes:
        depth: how many blocks lie in the prefix.
        fields: which input of the suffix is of the fields beside the images; None: there are none.
    """

    depth: int
    prefix: keras.Model
    suffix: keras.Model
    fields: int | None = None


def cut(model: keras.Model, blocks: Sequence[Block], trainable: Sequence[str]) -> ModelSplit | None:
    """Return the model cut before its first trainable block, or None where that is the first block of all.

    Every tensor that crosses the cut is handed on, such as the skips of a decoder.
    """
    first = next(number for number, block in enumerate(blocks) if block.name in trainable)
    if first == 0:
        return None
    # Pooling has nothing to train, and behind it there is far less to keep.
    pooling = pooling_of(model) if blocks[first].name == HEAD else None
    last, fields = [pooling.output] if pooling else end_tensors(model, blocks[first - 1]), given_fields(model)
    ends = frontier(model, [*last, *fields])
    suffix = keras.Model(ends, model.output)
    return ModelSplit(first, keras.Model(model.inputs, ends), suffix, len(last) if fields else None)


def at_inputs(model: keras.Model) -> ModelSplit:
    """Return a model cut before everything: what is handed on are its inputs, such as the augmented images."""
    handed = [keras.layers.Identity()(one) for one in model.inputs]
    fields = len(handed) - 1 if given_fields(model) else None
    return ModelSplit(0, keras.Model(model.inputs, handed), keras.Model(model.inputs, model.output), fields)


class Activations:
    """What a prefix hands on for every image and view, in files that vanish with this object.

    Attributes:
        arrays: an array an output of the prefix, (views, images, …).
        targets, weights: of each view, since augmentation changes them with the image: by output (views, images, …)
            of the type of the targets, and float32 (views, images).
    """

    def __init__(self, prefix: keras.Model, targets: Targets, views: int, dtype: str) -> None:
        count = len(next(iter(targets.values())))
        self._folder = Scratch("activations")
        self.arrays = [
            _allocate(self._folder.path / str(number), (views, count, *output.shape[1:]), np.dtype(dtype))
            for number, output in enumerate(prefix.outputs)
        ]
        self.targets = {
            name: _allocate(self._folder.path / name, (views, *array.shape), array.dtype)
            for name, array in targets.items()
        }
        self.weights = np.empty((views, count), np.float32)

    def write(self, view: int, start: int, outputs: Sequence[np.ndarray | tf.Tensor], batch: Batch) -> None:
        """Write the prefix's outputs for a batch, and its targets and weights, from image `start` of a view on."""
        _, targets, weights = batch
        rows = slice(start, start + len(weights))
        for array, output in zip(self.arrays, outputs, strict=True):
            array[view, rows] = output
        self.weights[view, rows] = weights
        for name, known in self.targets.items():
            known[view, rows] = _as_kept(np.asarray(targets[name]), known.dtype)


def _as_kept(targets: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return float32 targets as a type keeps them: what nobody knows of a mask is no number of 8 bits."""
    return np.where(targets == UNKNOWN, UNKNOWN_MASK, targets) if dtype == np.uint8 else targets


def size_of(cut: ModelSplit, images: int, dtype: str) -> int:
    """Return the bytes that one cut's activations take for so many images."""
    return images * sum(int(np.prod(output.shape[1:])) for output in cut.prefix.outputs) * np.dtype(dtype).itemsize


def _allocate(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    """Return an array in a file whose space is taken now: a disk that fills up later would kill the process."""
    size = int(np.prod(shape)) * dtype.itemsize
    with room_on(path.parent, f"{size / 1e9:.1f} GB of activations were wanted; {REMEDY}"), path.open("wb") as file:
        reserve(file, size)
    return np.memmap(path, dtype, "r+", shape=shape)


class Handed(Protocol):
    """What `CachedEpoch` reads of `Activations`, wherever they are kept."""

    @property
    def arrays(self) -> Sequence[np.ndarray]: ...

    @property
    def targets(self) -> Targets: ...

    @property
    def weights(self) -> np.ndarray: ...


class CachedEpoch(keras.utils.PyDataset):
    """One epoch over cached activations: a random order, and a random view of each image, as the seed says.

    Args:
        strata: of the rows, from each of which as many images are drawn; None: every image once.
        fields: which of the arrays holds what is known beside the images, and what it is in this epoch, float32 (N, D).
    """

    def __init__(
        self,
        activations: Handed,
        batch_size: int,
        seed: int,
        strata: np.ndarray | None = None,
        fields: tuple[int, np.ndarray] | None = None,
    ) -> None:
        super().__init__()
        self._fields = fields
        random = np.random.default_rng(seed)
        self._activations, self._batch_size = activations, batch_size
        views, count = activations.weights.shape
        # The rows of the table, as the epoch visits them.
        self.order = random.permutation(count) if strata is None else balanced(strata, random)
        self._views = random.integers(views, size=(count,))

    def __len__(self) -> int:
        return -(-len(self.order) // self._batch_size)

    def rows(self, number: int) -> np.ndarray:
        """Return the rows of the training table in a batch."""
        return self.order[number * self._batch_size : (number + 1) * self._batch_size]

    def __getitem__(self, number: int) -> tuple[np.ndarray | tuple[np.ndarray, ...], dict[str, np.ndarray], np.ndarray]:
        rows = self.rows(number)
        chosen = self._views[rows], rows
        found = [array[chosen].astype(np.float32) for array in self._activations.arrays]
        if self._fields:
            place, values = self._fields
            found[place] = values[rows]
        inputs = tuple(found)
        targets = {name: array[chosen] for name, array in self._activations.targets.items()}
        return inputs if len(inputs) > 1 else inputs[0], targets, self._activations.weights[chosen]


def cache(
    cuts: Sequence[ModelSplit],
    data: dict[str, Pipeline],
    views: int,
    variation: Variation,
    class_weights: str,
    dtype: str,
    seed: int,
    places: Sequence[str] = (),
) -> list[dict[str, Activations]]:
    """Return the activations at each cut: `views` varied ones of each image of `LEARNED`, one of each other image.

    All cuts are computed in one pass over the images.

    Args:
        places: the operations behind which maps of training images get each other's style, whole batches at a time.

    Raises:
        UserError: no room on the disk.
    """
    prefix = keras.Model(cuts[0].prefix.inputs, [output for part in cuts for output in part.prefix.outputs])
    views_of = {split: views if split in LEARNED else 1 for split in data}
    varying, batch_size = styled(prefix, places), next(iter(data.values())).batch_size
    counts = {split: views_of[split] * len(part.table) for split, part in data.items()}
    alone = [count for split, count in counts.items() if varying is prefix or split not in LEARNED]
    plain = engine_for(prefix, sum(alone), batch_size)
    mixing = plain if varying is prefix else Engine(with_variables(varying))  # it draws at random, of whole batches
    cached = [
        {split: Activations(part.prefix, data[split].targets, count, dtype) for split, count in views_of.items()}
        for part in cuts
    ]
    with progress(
        total=sum(views_of[split] * part.steps for split, part in data.items()),
        title="frozen part",
        unit="step",
    ) as bar:

        def fill(split: str, view: int, batches: Iterable[Batch], engine: Engine = plain) -> None:
            start = 0
            for batch in batches:
                step = engine.at_a_time or len(batch[2])
                for first in range(0, len(batch[2]), step):
                    some = tf.nest.map_structure(lambda tensor, at=slice(first, first + step): tensor[at], batch)
                    outputs = iter(engine.compute(*tf.nest.flatten(some[0])))
                    for part in cached:
                        part[split].write(view, start, [next(outputs) for _ in part[split].arrays], some)
                    start += len(some[2])
                bar.update()

        for split in [name for name in LEARNED if name in data]:
            for view in range(views):
                if mixing is not plain:
                    reseed(varying, seed + VIEW_SEEDS * view)
                fill(split, view, data[split].varied(seed + VIEW_SEEDS * view, variation, class_weights), mixing)
        for split in data.keys() - set(LEARNED):
            fill(split, 0, data[split].varied(seed, Variation(), "none"))
    return cached

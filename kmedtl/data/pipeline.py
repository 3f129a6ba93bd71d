"""tf.data pipelines over the store. An epoch is a pure function of its seed: nothing else decides its order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import tensorflow as tf

from kmedtl.data.augment import augmentation, bordering, mixer, styling
from kmedtl.data.bags import Bags, bags_of
from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.manifest import UNKNOWN, UNKNOWN_MASK
from kmedtl.data.sampling import balanced, strata_of
from kmedtl.data.store import Store
from kmedtl.data.tabular import FieldInput
from kmedtl.edge.pooling import Pooling
from kmedtl.edge.shapes import ModelInputs
from kmedtl.recipe import Stage

UNLABELLED = "unlabelled"  # what the images without labels are called, beside train, val and test
LEARNED = ("train", UNLABELLED)  # parts that a network learns from; others it is judged by
SHUFFLE_BUFFER = 2048  # images; the store's own order is shuffled already
Moving = Literal["mask", "boxes"]
# Images (or images and the fields beside them), targets by output, weights.
Batch = tuple[tf.Tensor | tuple[tf.Tensor, tf.Tensor], dict[str, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Variation:
    """How training images are varied: a preset, a mixer, the border and the style, of `kmedtl.data.augment`."""

    preset: str = "none"
    mix: str = "none"
    border: str = "none"
    style: str = "none"

    @classmethod
    def of(cls, stage: Stage, preset: str) -> Variation:
        """Return that of a stage; `preset` where the stage names none."""
        return cls(stage.augment or preset, stage.mix, stage.border, stage.style)

    @property
    def is_none(self) -> bool:
        return self == Variation()


@dataclass(frozen=True)
class Pipeline:
    """Batches of one split.

    Attributes:
        store: where the pixels are.
        table: the split's rows in the order of `record`, which is the order in which `images` yields them.
        targets: by the name of the model's output: float32 (N, …), or uint8 of masks, in the same order; `UNKNOWN`
            where nobody knows, `UNKNOWN_MASK` in masks.
        batch_size: images a batch; the last one may be smaller.
        moves: targets that move with the image: masks, (N, size, size, M), or boxes, (N, B, 4) of x and y at top left
            and bottom right in pixels.
        fields: what is known beside the images, in the same order; None: the model takes none. Batches are then of
            (images, fields) where otherwise of images.
        pooling: how outputs of slices become those of volumes; "": each image is answered by itself.
        views: names of the images that an examination may have, which are answered together; empty: there are none.
    """

    store: Store | ImagesInMemory
    table: pd.DataFrame
    targets: Mapping[str, np.ndarray]
    batch_size: int
    moves: Mapping[str, Moving] = field(default_factory=dict)
    fields: FieldInput | None = None
    pooling: Pooling = ""
    views: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        return -(-len(self.table) // self.batch_size)

    def images(self) -> tf.data.Dataset:
        """Return float32 batches (N, size, size, C) in 0–255, in the table's order; with fields pairs of both."""
        return self.varied(seed=0, variation=Variation(), class_weights="none").map(lambda images, *_: images)

    def varied(self, seed: int, variation: Variation, class_weights: str) -> tf.data.Dataset:
        """Return (images, targets, weights) in the table's order, varied as `seed` says."""
        return self._batches(self._selected(), seed, variation, class_weights, self.beside)

    def epoch(
        self, seed: int, variation: Variation, class_weights: str = "none", sampling: str = "natural"
    ) -> tf.data.Dataset:
        """Return one epoch of (images, targets, weights), drawn, shuffled and varied as `seed` says.

        The targets are float32 (N, …) by output, the weights float32 (N,) with a mean of 1 over the split. Of fields,
        some are dropped.
        """
        fields = None if self.fields is None else self.fields.of_epoch(seed)
        return self._batches(self._shuffled(seed, sampling), seed, variation, class_weights, fields)

    def rows_of_step(self, seed: int, step: int, sampling: str = "natural") -> np.ndarray:
        """Return the rows of the table in a batch of an epoch, counted from 0."""
        rows = self._shuffled(seed, sampling).map(lambda image, row: row).batch(self.batch_size)
        return next(iter(rows.skip(step).as_numpy_iterator()))

    def sample(self, count: int, seed: int) -> ModelInputs:
        """Return about `count` images as uint8 (n, size, size, C), each label by its share, with their fields."""
        share = min(1.0, count / len(self.table))
        chosen = [
            row
            for _, part in self.table.groupby("stratum")
            for row in part.sample(n=max(1, round(share * len(part))), random_state=seed).index
        ]
        return self.of(np.array(sorted(chosen))).inputs()

    def of(self, rows: np.ndarray) -> Pipeline:
        """Return some of the images."""
        table = self.table.iloc[rows].reset_index(drop=True)
        targets = {name: array[rows] for name, array in self.targets.items()}
        return replace(self, table=table, targets=targets, fields=self._fields_of(rows))

    def _fields_of(self, rows: np.ndarray | Sequence[int]) -> FieldInput | None:
        return None if self.fields is None else self.fields.of(rows)

    @property
    def beside(self) -> np.ndarray | None:
        """What a model is given beside the images, float32 (N, D); None: nothing."""
        return None if self.fields is None else self.fields.values

    @property
    def width(self) -> int:
        """How many numbers an image that is; 0: nothing is."""
        return 0 if self.beside is None else self.beside.shape[1]

    def inputs(self) -> ModelInputs:
        """Return what a model is given of every image, in the table's order."""
        return ModelInputs(self.pixels(), self.beside)

    def pixels(self) -> np.ndarray:
        """Return every image as uint8 (N, size, size, C), in the table's order."""
        return np.stack([image for image, _ in self._selected().as_numpy_iterator()])

    @property
    def bags(self) -> Bags:
        """Which rows are answered together."""
        return bags_of(self.table, self.pooling, self.views)

    def weights(self, class_weights: str) -> np.ndarray:
        """Return float32 (N,): 1, or for `balanced` what makes every stratum count the same.

        Of slices it is what makes every volume count the same, or every stratum by its volumes.
        """
        each = self.bags.weights
        if class_weights == "none":
            return each.astype(np.float32)
        strata, inverse = np.unique(self.table["stratum"], return_inverse=True)
        shares = len(self.table) / (len(strata) * np.bincount(inverse, each))
        return (each * shares[inverse]).astype(np.float32)

    def _selected(self) -> tf.data.Dataset:
        """Return (image, row of the table) in the store's order."""
        row_of = np.full(self.store.count, -1, np.int64)
        row_of[self.table["record"]] = np.arange(len(self.table))
        rows = tf.constant(row_of)
        numbered = self.store.images().enumerate()
        selected = numbered.filter(lambda record, _: rows[record] >= 0)
        selected = selected.map(lambda record, image: (image, rows[record]))
        return selected.apply(tf.data.experimental.assert_cardinality(len(self.table)))

    def _shuffled(self, seed: int, sampling: str) -> tf.data.Dataset:
        images = self._selected()
        strata = strata_of(self.table, sampling)
        if strata is not None:
            drawn = balanced(strata, np.random.default_rng(seed))
            times = tf.constant(np.bincount(drawn, minlength=len(self.table)))
            images = images.flat_map(lambda *image: tf.data.Dataset.from_tensors(image).repeat(times[image[1]]))
            images = images.apply(tf.data.experimental.assert_cardinality(len(self.table)))
        return images.shuffle(min(len(self.table), SHUFFLE_BUFFER), seed=seed)

    def _batches(
        self,
        images: tf.data.Dataset,
        seed: int,
        variation: Variation,
        class_weights: str,
        fields: np.ndarray | None = None,
    ) -> tf.data.Dataset:
        targets = {name: tf.constant(array) for name, array in self.targets.items()}
        weights = tf.constant(self.weights(class_weights))
        vary = _vary(variation, images.element_spec[0].shape[-1], seed, self.moves)
        batches = images.batch(self.batch_size)

        def batch(images: tf.Tensor, rows: tf.Tensor) -> Batch:
            known = {name: _as_float(tf.gather(array, rows)) for name, array in targets.items()}
            varied, *rest = vary(tf.cast(images, tf.float32), known, tf.gather(weights, rows))
            return (varied if fields is None else (varied, tf.gather(tf.constant(fields), rows)), *rest)

        return batches.map(batch, num_parallel_calls=1).prefetch(2)


def pipelines(
    store: Store,
    table: pd.DataFrame,
    batch_size: int,
    targets: Callable[[pd.DataFrame], Mapping[str, np.ndarray]],
    moves: Mapping[str, Moving] | None = None,
    fields: Callable[[pd.DataFrame, str], FieldInput] | None = None,
    pooling: Pooling = "",
    views: tuple[str, ...] = (),
) -> dict[str, Pipeline]:
    """Return a pipeline for each split of `table` (a manifest's, with the columns `record` and `split`).

    Args:
        targets: from a part of the table to what is true of its images, by the name of the model's output.
        moves: which of them move with the image.
        fields: from a part of the table and the name of its split to what is known beside its images; None: nothing.
        pooling, views: as of `Pipeline`.
    """
    parts = {str(split): part.sort_values("record").reset_index(drop=True) for split, part in table.groupby("split")}
    return {
        split: Pipeline(
            store, part, targets(part), batch_size, moves or {}, fields(part, split) if fields else None, pooling, views
        )
        for split, part in parts.items()
    }


def _as_float(targets: tf.Tensor) -> tf.Tensor:
    """Return targets as float32, `UNKNOWN` in masks too where nobody knows."""
    values = tf.cast(targets, tf.float32)
    return tf.where(values == UNKNOWN_MASK, UNKNOWN, values) if targets.dtype == tf.uint8 else values


def _vary(variation: Variation, channels: int, seed: int, moves: Mapping[str, Moving]) -> Callable[..., Batch]:
    """Return a variation as a function of batches; map it one call at a time, its random state is a sequence."""
    layers = bordering(variation.border, seed)  # first, while the border is where the source has it
    layers += augmentation(variation.preset, channels, seed + len(layers))
    layers += styling(variation.style, seed + len(layers))
    mixing = mixer(variation.mix, seed + len(layers))

    def vary(images: tf.Tensor, targets: dict[str, tf.Tensor], weights: tf.Tensor) -> Batch:
        varied: Any = _moving(images, targets, moves) if moves else images
        for layer in layers:
            varied = layer(varied, training=True)
        images, targets = _moved(varied, targets, moves) if moves else (varied, targets)
        return _mix(mixing, images, targets, weights) if mixing else (images, targets, weights)

    return vary


def _moving(images: tf.Tensor, targets: Mapping[str, tf.Tensor], moves: Mapping[str, Moving]) -> dict[str, Any]:
    """Return images and what moves with them as Keras' layers take them: all masks as one, all boxes as one."""
    given: dict[str, Any] = {"images": images}
    masks, boxes = ([targets[name] for name, what in moves.items() if what == kind] for kind in ("mask", "boxes"))
    if masks:
        given["segmentation_masks"] = tf.concat(masks, axis=-1)
    if boxes:
        together = tf.concat(boxes, axis=1)
        given["bounding_boxes"] = {"boxes": together, "labels": tf.zeros(tf.shape(together)[:2])}
    return given


def _moved(
    varied: Mapping[str, Any], targets: Mapping[str, tf.Tensor], moves: Mapping[str, Moving]
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Return images and targets of what `_moving` returned, varied; what nobody knows of an image stays unknown."""
    found = dict(targets)
    for kind, key, axis in (("mask", "segmentation_masks", -1), ("boxes", "bounding_boxes", 1)):
        names = [name for name, what in moves.items() if what == kind]
        if names:
            together = varied[key]["boxes"] if kind == "boxes" else varied[key]
            parts = tf.split(together, [targets[name].shape[axis] for name in names], axis=axis)
            for name, part in zip(names, parts, strict=True):
                rest = list(range(1, len(part.shape)))
                unknown = tf.reduce_all(targets[name] == UNKNOWN, axis=rest, keepdims=True)
                found[name] = tf.where(unknown, tf.cast(UNKNOWN, part.dtype), part)
    return varied["images"], found


def _mix(mixing: Callable, images: tf.Tensor, targets: dict[str, tf.Tensor], weights: tf.Tensor) -> Batch:
    """Mix the images with each other, and with them targets and weights; what is unknown of one stays unknown.

    A target counts by its weight, so that balanced weights stay balanced. All outputs' targets are mixed at once.
    """
    widths = [array.shape[1] for array in targets.values()]
    together = tf.concat(list(targets.values()), axis=1)
    known = tf.cast(together != UNKNOWN, tf.float32) * weights[:, None]
    mixed = mixing(
        {"images": images, "labels": tf.concat([together * known, known, weights[:, None]], axis=1)}, training=True
    )
    answers, known, weights = tf.split(mixed["labels"], [sum(widths), sum(widths), 1], axis=1)
    found = tf.split(tf.where(known > weights * (1 - 1e-6), answers / weights, UNKNOWN), widths, axis=1)
    return mixed["images"], dict(zip(targets, found, strict=True)), weights[:, 0]

"""How a stage trains on volumes: the loss is that of a volume's answer, pooled from the outputs of its slices.

The outputs are pooled inside the graph as `kmedtl.edge.pooling` pools them behind it, so that the gradient goes through
the pooling. A step of a stage behind single vectors takes `batch_size` whole volumes. Where maps are handed on, or the
images themselves, it sees no more slices than a step on images does: `SLICES` of each volume, drawn one from each of as
many equal parts of it, of `batch_size` / `SLICES` volumes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import KerasTensor, layers, ops

from kmedtl.data.pipeline import Pipeline
from kmedtl.data.sampling import balanced, strata_of
from kmedtl.edge.pooling import ATTENTION, KNOTS, Pooling, knots
from kmedtl.errors import UserError, expect
from kmedtl.finetune.frozen_prefix import Activations, ModelSplit
from kmedtl.recipe import Stage

SLICES = 8  # of a volume in a step, where more than single vectors goes in
Batch = tuple[tuple[np.ndarray, ...], dict[str, np.ndarray], np.ndarray]


class VolumeOutputs(layers.Layer):
    """The outputs of volumes (V, …) of those of their slices (N, …), by name; see `kmedtl.edge.pooling.pooled`."""

    def __init__(self, rule: Pooling) -> None:
        super().__init__(name="volume_outputs", dtype="float32")
        self.rule = rule

    def call(
        self, outputs: Mapping[str, KerasTensor], volumes: KerasTensor, places: KerasTensor
    ) -> dict[str, KerasTensor]:
        """Take int32 (N,), the volume of each slice in ascending order, and `knots` of its place, (N, KNOTS)."""
        answers = {name: output for name, output in outputs.items() if name != ATTENTION}
        if self.rule == "max":
            return {name: ops.segment_max(output, volumes) for name, output in answers.items()}
        scores = ops.zeros_like(places[:, 0])
        if self.rule == ATTENTION:
            scores = ops.sum(outputs[ATTENTION] * places, axis=1)
        highest = ops.take(ops.segment_max(scores, volumes), volumes)
        weights = ops.exp(scores - ops.stop_gradient(highest))
        shares = weights / ops.take(ops.segment_sum(weights, volumes), volumes)
        return {name: ops.segment_sum(output * shares[:, None], volumes) for name, output in answers.items()}


def on_volumes(model: keras.Model, rule: Pooling) -> keras.Model:
    """Return a model, or its suffix, that answers for volumes: it takes two inputs more, as of `VolumeOutputs`."""
    volumes, places = keras.Input((), dtype="int32", name="volumes"), keras.Input((KNOTS,), name="places")
    return keras.Model([*model.inputs, volumes, places], VolumeOutputs(rule)(model.output, volumes, places))


class VolumeEpoch(keras.utils.PyDataset):
    """One epoch of volumes over cached activations of their slices: order, views and slices as the seed says."""

    def __init__(self, activations: Activations, cut: ModelSplit, train: Pipeline, stage: Stage, seed: int) -> None:
        super().__init__()
        self._activations, self._seed = activations, seed
        self._bags, self._known = train.bags, train.bags.known(train.targets)
        self._weights = _weights(train, stage.class_weights)
        self._rows = self._bags.rows
        self._places = knots(self._bags.places)
        self._fields = None
        if train.fields is not None and cut.fields is not None:
            self._fields = cut.fields, train.fields.of_epoch(seed)[self._bags.first]
        whole = all(len(output.shape) == 2 for output in cut.prefix.outputs)
        self._most = None if whole else SLICES
        self._volumes = train.batch_size if whole else max(1, train.batch_size // SLICES)
        random = np.random.default_rng(seed)
        strata = strata_of(self._bags.table(train.table), stage.sampling)
        self._order = random.permutation(len(self._rows)) if strata is None else balanced(strata, random)
        self._views = random.integers(len(activations.weights), size=len(self._order))

    def __len__(self) -> int:
        return -(-len(self._order) // self._volumes)

    def _drawn(self, number: int) -> list[np.ndarray]:
        """Return the rows of each volume in a batch, from its first slice to its last."""
        random = np.random.default_rng([self._seed, number])
        asked = self._order[number * self._volumes : (number + 1) * self._volumes]
        return [_some(self._rows[volume], self._most, random) for volume in asked]

    def rows(self, number: int) -> np.ndarray:
        """Return the rows of the training table in a batch."""
        return np.concatenate(self._drawn(number))

    def __getitem__(self, number: int) -> Batch:
        drawn = self._drawn(number)
        start = number * self._volumes
        asked, views = (array[start : start + self._volumes] for array in (self._order, self._views))
        counts = [len(rows) for rows in drawn]
        volumes, rows = np.repeat(np.arange(len(drawn), dtype=np.int32), counts), np.concatenate(drawn)
        found = [array[views[volumes], rows].astype(np.float32) for array in self._activations.arrays]
        if self._fields:
            place, values = self._fields
            found[place] = values[asked[volumes]]
        targets = {name: array[asked].astype(np.float32) for name, array in self._known.items()}
        return (*found, volumes, self._places[rows]), targets, self._weights[asked]


def check_stages(stages: Iterable[Stage]) -> None:
    """Refuse stages that volumes cannot go through, in one device's memory.

    Raises:
        UserError: one that caches nothing, that mixes images, or more devices than one.
    """
    for stage in stages:
        expect(stage.views > 0, f"stage {stage.name}: views", "1 or more beside volumes, which are cached", stage.views)
        expect(stage.mix == "none", f"stage {stage.name}: mix", "none beside volumes", stage.mix)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise UserError("training.strategy: expected one device beside volumes, such as cpu. Received: several.")


def _weights(train: Pipeline, class_weights: str) -> np.ndarray:
    """Return what each volume counts, float32 (V,), of mean 1: what its slices do together."""
    sums = np.bincount(train.bags.of, train.weights(class_weights))
    return (sums / sums.mean()).astype(np.float32)


def _some(rows: np.ndarray, most: int | None, random: np.random.Generator) -> np.ndarray:
    """Return the rows, or one of each of `most` equal parts of them."""
    if most is None or len(rows) <= most:
        return rows
    edges = np.linspace(0, len(rows), most + 1).astype(int)
    return rows[random.integers(edges[:-1], edges[1:])]

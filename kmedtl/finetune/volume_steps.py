"""How a stage trains on volumes: the loss is that of a volume's answer, pooled from the outputs of its slices.

The outputs are pooled inside the graph as `kmedtl.edge.pooling` pools them behind it, so that the gradient goes through
the pooling. A step of a stage behind single vectors takes `batch_size` whole volumes. Where maps are handed on, or the
images themselves, it sees no more slices than a step on images does: `SLICES` of each volume, drawn one from each of as
many equal parts of it, of `batch_size` / `SLICES` volumes.

Of examinations with several views, each view is pooled as a volume is, and the answer is the mean over the views. Views
are left out at random, each with the probability `LEFT_OUT` but never all that there are, so that the network learns
what to say without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import KerasTensor, layers, ops

from kmedtl.data.bags import Bags
from kmedtl.data.pipeline import Pipeline
from kmedtl.data.sampling import balanced, strata_of
from kmedtl.edge.pooling import ATTENTION, KNOTS, Pooling, knots
from kmedtl.errors import UserError, expect
from kmedtl.finetune.block_importance import is_adaptive
from kmedtl.finetune.frozen_prefix import Activations, ModelSplit
from kmedtl.recipe import Stage

SLICES = 8  # of a volume in a step, where more than single vectors goes in
LEFT_OUT = 0.2  # probability that a view of an examination counts as missing in an epoch
Batch = tuple[tuple[np.ndarray, ...], dict[str, np.ndarray], np.ndarray]
Part = tuple[np.ndarray, int]  # rows that are pooled, and which part of an output counts, as of `VolumeOutputs`


class VolumeOutputs(layers.Layer):
    """The outputs of volumes (V, …) of those of their slices (N, …), by name; see `kmedtl.edge.pooling.pooled`.

    Of `views` volumes each is a view of an examination, one after the other, and the outputs are those of examinations:
    the mean over their views; see `kmedtl.edge.pooling.contributions`.
    """

    def __init__(self, rule: Pooling, views: int = 0) -> None:
        super().__init__(name="volume_outputs", dtype="float32")
        self.rule, self.views = rule, views

    def call(
        self,
        outputs: Mapping[str, KerasTensor],
        volumes: KerasTensor,
        places: KerasTensor,
        states: KerasTensor | None = None,
    ) -> dict[str, KerasTensor]:
        """Take int32 (N,), the volume of each slice in ascending order, and `knots` of its place, (N, KNOTS).

        Of views also int32 (N,), which of the 2·V parts of an output counts: of view v the part v, or V + v of a row
        that stands for a view that is missing.
        """
        answers = {name: output for name, output in outputs.items() if name != ATTENTION}
        if not self.views:
            return self._pooled(answers, outputs, volumes, places)
        which = ops.one_hot(states, 2 * self.views)[..., None]
        own = {
            name: ops.sum(ops.reshape(output, (-1, 2 * self.views, output.shape[-1] // (2 * self.views))) * which, 1)
            for name, output in answers.items()
        }
        found = self._pooled(own, outputs, volumes, places)
        return {
            name: ops.mean(ops.reshape(each, (-1, self.views, each.shape[-1])), axis=1) for name, each in found.items()
        }

    def _pooled(
        self,
        answers: Mapping[str, KerasTensor],
        outputs: Mapping[str, KerasTensor],
        volumes: KerasTensor,
        places: KerasTensor,
    ) -> dict[str, KerasTensor]:
        if self.rule == "max":
            return {name: ops.segment_max(output, volumes) for name, output in answers.items()}
        scores = ops.zeros_like(places[:, 0])
        if self.rule == ATTENTION:
            scores = ops.sum(outputs[ATTENTION] * places, axis=1)
        highest = ops.take(ops.segment_max(scores, volumes), volumes)
        weights = ops.exp(scores - ops.stop_gradient(highest))
        shares = weights / ops.take(ops.segment_sum(weights, volumes), volumes)
        return {name: ops.segment_sum(output * shares[:, None], volumes) for name, output in answers.items()}


def on_volumes(model: keras.Model, rule: Pooling, views: int = 0) -> keras.Model:
    """Return a model, or its suffix, that answers for volumes or examinations: it takes more, as of `VolumeOutputs`."""
    more = [keras.Input((), dtype="int32", name="volumes"), keras.Input((KNOTS,), name="places")]
    more += [keras.Input((), dtype="int32", name="states")] if views else []
    return keras.Model([*model.inputs, *more], VolumeOutputs(rule, views)(model.output, *more))


class VolumeEpoch(keras.utils.PyDataset):
    """One epoch of volumes over cached activations of their slices, or of examinations over those of their images.

    Order, augmented views, slices and the views that are left out are as the seed says.
    """

    def __init__(self, activations: Activations, cut: ModelSplit, train: Pipeline, stage: Stage, seed: int) -> None:
        super().__init__()
        self._activations, self._seed = activations, seed
        self._bags, self._known = train.bags, train.bags.known(train.targets)
        self._weights = _weights(train, stage.class_weights)
        self._places = knots(self._bags.places)
        self._fields = None
        if train.fields is not None and cut.fields is not None:
            self._fields = cut.fields, train.fields.of_epoch(seed)[self._bags.first]
        whole = all(len(output.shape) == 2 for output in cut.prefix.outputs)
        self._most = None if whole else SLICES
        self._volumes = train.batch_size if whole else max(1, train.batch_size // _fullest(self._bags))
        random = np.random.default_rng(seed)
        strata = strata_of(self._bags.table(train.table), stage.sampling)
        self._order = random.permutation(len(self._weights)) if strata is None else balanced(strata, random)
        self._views = random.integers(len(activations.weights), size=len(self._order))
        self._parts = parts_of_epoch(self._bags, random)

    def __len__(self) -> int:
        return -(-len(self._order) // self._volumes)

    def _drawn(self, number: int) -> list[Part]:
        """Return the rows of each volume in a batch, from its first slice to its last; of examinations view by view."""
        random = np.random.default_rng([self._seed, number])
        asked = self._order[number * self._volumes : (number + 1) * self._volumes]
        return [(_some(rows, self._most, random), state) for bag in asked for rows, state in self._parts[bag]]

    def rows(self, number: int) -> np.ndarray:
        """Return the rows of the training table in a batch."""
        return np.concatenate([rows for rows, _ in self._drawn(number)])

    def __getitem__(self, number: int) -> Batch:
        drawn = self._drawn(number)
        start = number * self._volumes
        asked, views = (array[start : start + self._volumes] for array in (self._order, self._views))
        counts = [len(rows) for rows, _ in drawn]
        volumes, rows = np.repeat(np.arange(len(drawn), dtype=np.int32), counts), self.rows(number)
        bags = volumes // (len(drawn) // len(asked))
        found = [array[views[bags], rows].astype(np.float32) for array in self._activations.arrays]
        if self._fields:
            place, values = self._fields
            found[place] = values[asked[bags]]
        targets = {name: array[asked].astype(np.float32) for name, array in self._known.items()}
        states = np.repeat(np.array([state for _, state in drawn], np.int32), counts)
        more = (volumes, self._places[rows], *([states] if self._bags.views else []))
        return (*found, *more), targets, self._weights[asked]


def check_stages(stages: Iterable[Stage], views: bool) -> None:
    """Refuse stages that volumes cannot go through, in one device's memory.

    Raises:
        UserError: one that caches nothing, mixes images or aligns domains, that beside views of an examination asks
            images which blocks they need, or more devices than one.
    """
    for stage in stages:
        expect(not (views and is_adaptive(stage)), f"stage {stage.name}: train", "blocks beside views", stage.train)
        expect(stage.views > 0, f"stage {stage.name}: views", "1 or more beside volumes, which are cached", stage.views)
        expect(stage.domains == "none", f"stage {stage.name}: domains", "none beside volumes", stage.domains)
        expect(stage.mix == "none", f"stage {stage.name}: mix", "none beside volumes", stage.mix)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise UserError("training.strategy: expected one device beside volumes, such as cpu. Received: several.")


def _weights(train: Pipeline, class_weights: str) -> np.ndarray:
    """Return what each volume counts, float32 (V,), of mean 1: what its slices do together."""
    sums = np.bincount(train.bags.of, train.weights(class_weights))
    return (sums / sums.mean()).astype(np.float32)


def _fullest(bags: Bags) -> int:
    """Return how many rows a step may see of a bag: `SLICES` of a volume; of an examination as many as any has."""
    if not bags.views:
        return SLICES
    parts, counts = np.unique(bags.parts, return_counts=True)
    seen = np.bincount(parts // bags.views.count, np.minimum(counts, SLICES))
    return max(bags.views.count, int(seen.max()))


def parts_of_epoch(bags: Bags, random: np.random.Generator) -> list[list[Part]]:
    """Return what is pooled of each bag: a volume's rows; or for each view those of an examination.

    Where a view is missing, or drawn to be, the examination's first row stands for it.
    """
    if not bags.views:
        return [[(rows, 0)] for rows in bags.rows]
    found, count = [], bags.views.count
    for rows in bags.rows:
        of = bags.views.of[rows]
        there = np.isin(np.arange(count), of)
        seen = there & (random.random(count) >= LEFT_OUT)
        if not seen.any():
            seen[random.choice(np.flatnonzero(there))] = True
        found.append([(rows[of == view], view) if seen[view] else (rows[:1], count + view) for view in range(count)])
    return found


def _some(rows: np.ndarray, most: int | None, random: np.random.Generator) -> np.ndarray:
    """Return the rows, or one of each of `most` equal parts of them."""
    if most is None or len(rows) <= most:
        return rows
    edges = np.linspace(0, len(rows), most + 1).astype(int)
    return rows[random.integers(edges[:-1], edges[1:])]

"""What a stage trains on: the images through the whole model, or the cached activations through its last part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from kmedtl.data.pipeline import LEARNED, Pipeline
from kmedtl.data.sampling import strata_of
from kmedtl.edge.tasks.task import Outputs
from kmedtl.finetune.added_outputs import DOMAIN, answers
from kmedtl.finetune.adversarial import with_domains
from kmedtl.finetune.frozen_prefix import Activations, CachedEpoch, ModelSplit, cache
from kmedtl.finetune.mix_style import styled
from kmedtl.finetune.moving_average import MovingAverage
from kmedtl.finetune.stage_plan import Plan
from kmedtl.finetune.volume_steps import VolumeEpoch, on_volumes

Losses = dict[str, keras.losses.Loss]  # by output


@dataclass(frozen=True)
class Source:
    """What a stage trains on and with.

    Attributes:
        trainer: the model, or its part behind the frozen one; the layers are the model's own.
        epoch: from an epoch's seed to its batches.
        steps: of an epoch.
        rows: from an epoch's seed and a step to the rows of the training table in that step's batch.
        validate: returns the outputs of every split but the training images, in the order of its table.
        losses: from the task's losses in the stage to those of what `epoch` yields.
        begin: takes the average of the weights, before the first epoch.
        callbacks: that watch each epoch.
        is_judged: validation tells which epoch is best; else the latest is, such as of a backbone whose head waits.
    """

    trainer: keras.Model
    epoch: Callable[[int], tf.data.Dataset | keras.utils.PyDataset]
    steps: int
    rows: Callable[[int, int], np.ndarray]
    validate: Callable[[], dict[str, Outputs]]
    losses: Callable[[Losses], Losses] = lambda losses: losses
    begin: Callable[[MovingAverage], None] = lambda average: None
    callbacks: Sequence[keras.callbacks.Callback] = ()
    is_judged: bool = True


Behind = Callable[[ModelSplit, dict[str, Activations], Pipeline, Plan], Source]


def predict_outputs(model: keras.Model, pipeline: Pipeline) -> Outputs:
    """Return the outputs, float32 (N, …), in the order of the pipeline's table."""
    batches = pipeline.images()
    if pipeline.fields is not None:
        batches = batches.map(lambda *inputs: (inputs,))  # else Keras would take the fields for targets
    return model.predict(batches, verbose=0)


def sources(
    model: keras.Model,
    group: Sequence[Plan],
    data: dict[str, Pipeline],
    dtype: str,
    seed: int,
    behind: Behind | None = None,
) -> Iterator[Source]:
    """Yield the source of each stage of a group; of the frozen part, all are computed at the first.

    Args:
        behind: makes a stage's source of what is cached at its cut; None: a supervised one.
    """
    first = group[0]
    aligned = next((plan.domains for plan in group if plan.domains), None)
    data = data | {"train": with_domains(data["train"], aligned)}
    if first.cut is None:
        yield _whole(model, first, data)
        return
    cuts = [plan.cut for plan in group if plan.cut]  # all of them: where the first one cuts, so do those that share
    cached = cache(cuts, data, first.views, first.variation, first.stage.class_weights, dtype, seed, first.places)
    supervised = _volumes_behind if data["train"].pooling else _behind
    for cut, plan in zip(cuts, group, strict=True):
        handed = cached.pop(0)
        if plan.domains is None:
            handed["train"].targets.pop(DOMAIN, None)  # which another stage of the pass asks for
        yield (behind or supervised)(cut, handed, data["train"], plan)


def _whole(model: keras.Model, plan: Plan, data: dict[str, Pipeline]) -> Source:
    train = data["train"]
    return Source(
        # A second model of the same layers: `model` itself is never compiled, so nothing of an optimizer is saved.
        styled(keras.Model(plan.model.inputs, plan.model.output), plan.places),
        lambda seed: train.epoch(seed, plan.variation, plan.stage.class_weights, plan.stage.sampling),
        train.steps,
        lambda seed, step: train.rows_of_step(seed, step, plan.stage.sampling),
        lambda: {name: predict_outputs(model, part) for name, part in data.items() if name != "train"},
    )


def _behind(cut: ModelSplit, cached: dict[str, Activations], train: Pipeline, plan: Plan) -> Source:
    batch_size, strata = train.batch_size, strata_of(train.table, plan.stage.sampling)

    def epoch(seed: int) -> CachedEpoch:
        fields = None if train.fields is None or cut.fields is None else (cut.fields, train.fields.of_epoch(seed))
        return CachedEpoch(cached["train"], batch_size, seed, strata, fields)

    validate = validation(cut, cached, batch_size)
    trainer = styled(cut.suffix, plan.places)
    return Source(trainer, epoch, train.steps, lambda seed, step: epoch(seed).rows(step), validate)


def _volumes_behind(cut: ModelSplit, cached: dict[str, Activations], train: Pipeline, plan: Plan) -> Source:
    def epoch(seed: int) -> VolumeEpoch:
        return VolumeEpoch(cached["train"], cut, train, plan.stage, seed)

    trainer = on_volumes(styled(cut.suffix, plan.places), train.pooling, len(train.views))
    validate = validation(cut, cached, train.batch_size)
    return Source(trainer, epoch, len(epoch(0)), lambda seed, step: epoch(seed).rows(step), validate)


def validation(cut: ModelSplit, cached: dict[str, Activations], batch_size: int) -> Callable[[], dict[str, Outputs]]:
    """Return what asks the suffix for the outputs of every part that is not learned from, of slices by slice."""
    scorer = keras.Model(cut.suffix.inputs, answers(cut.suffix))
    held = {name: [array[0] for array in part.arrays] for name, part in cached.items() if name not in LEARNED}
    return lambda: {name: scorer.predict(arrays, batch_size=batch_size, verbose=0) for name, arrays in held.items()}

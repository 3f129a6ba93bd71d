"""Staged fine-tuning: a stage toggles what trains, gets a new optimizer, is compiled, and fits.

Both the new optimizer and `compile` are needed: Keras 3 decides what trains when it compiles, so toggling alone does
nothing. What is frozen is computed once (`frozen_prefix`). BatchNorm layers stay frozen one by one, because
`training=False` does not survive `fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from kmedtl.backbones.blocks import Block, select, set_trainable
from kmedtl.data.manifest import UNKNOWN
from kmedtl.data.pipeline import Pipeline, Variation
from kmedtl.errors import UserError
from kmedtl.finetune.frozen_prefix import Activations, CachedEpoch, Cut, cache, cut, size_of
from kmedtl.finetune.l2sp import pulled_to_start
from kmedtl.finetune.losses import MaskedCrossEntropy
from kmedtl.finetune.optimizers import optimizer
from kmedtl.finetune.progress import EpochBar
from kmedtl.recipe import Stage, Training

EPOCH_SEEDS = 1000  # apart, so that epochs share no seed with each other's views and layers


@dataclass(frozen=True)
class Epoch:
    """A row of `history.csv`: losses are mean cross-entropy in nats, `val_auc` (the mean over findings) lies in 0–1."""

    stage: str
    epoch: int
    loss: float
    val_loss: float
    val_auc: float

    @property
    def merit(self) -> tuple[float, float]:
        """What "best" means: validation AUC, and of equals the lower loss."""
        return self.val_auc, -self.val_loss


def fine_tune(
    model: keras.Model,
    blocks: Sequence[Block],
    stages: Sequence[Stage],
    data: dict[str, Pipeline],
    preset: str,
    training: Training,
    seed: int,
    say: Callable[[str], None] = print,
    after_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> list[Epoch]:
    """Train `model` in place, stage by stage, and leave it with the weights of the best epoch of all.

    Each stage starts from the best epoch so far. An epoch's order and augmentation follow from `seed` and its number
    alone.

    Args:
        preset: of `kmedtl.data.augment`.
        say: receives what a person should know, such as a stage that does not fit the cache.
        after_epoch: called with each epoch when it is done.

    Raises:
        UserError: a stage that names no block, or a loss that is not finite, with the stage and epoch.
    """
    plans = [_plan(model, blocks, stage, preset) for stage in stages]  # refuse a misspelt one before the first trains
    history: list[Epoch] = []
    best = model.get_weights()
    for group in _sharing_a_pass([_within(training, plan, data, say) for plan in plans], training, data):
        sources = _sources(model, group, data, training.cache_dtype, seed + EPOCH_SEEDS * len(history))
        for plan, source in zip(group, sources, strict=True):
            stage = plan.stage
            batch_norm = "trainable" if stage.batch_norm == "train" else "frozen"
            set_trainable(model, blocks, plan.trainable, batch_norm)
            _compile(source.trainer, stage, blocks, data["train"].steps)
            merits: list[tuple[float, float]] = []
            with pulled_to_start(_kernels(source.trainer, blocks) if stage.l2_sp else [], stage.l2_sp):
                for number in range(stage.epochs):
                    epoch = _train_epoch(source, stage, number, data, seed + EPOCH_SEEDS * len(history))
                    if not history or epoch.merit > max(past.merit for past in history):
                        best = model.get_weights()
                    history.append(epoch)
                    after_epoch(epoch)
                    merits.append(epoch.merit)
                    if stage.patience and number - merits.index(max(merits)) >= stage.patience:
                        say(f"Stage {stage.name}: no better epoch in {stage.patience}; it ends after {number + 1}.")
                        break
            model.set_weights(best)
    return history


def predict_logits(model: keras.Model, pipeline: Pipeline) -> np.ndarray:
    """Return the logits, float32 (N, findings), in the order of the pipeline's table."""
    return model.predict(pipeline.images(), verbose=0)


@dataclass(frozen=True)
class _Plan:
    """A stage, the blocks it trains, how it varies images, and where it cuts the model (None: nowhere)."""

    stage: Stage
    trainable: tuple[str, ...]
    variation: Variation
    cut: Cut | None

    @property
    def views(self) -> int:
        """How many varied views of an image are cached."""
        return 1 if self.variation.is_none else min(self.stage.views, self.stage.epochs)


def _plan(model: keras.Model, blocks: Sequence[Block], stage: Stage, preset: str) -> _Plan:
    names = select(blocks, stage.train)
    return _Plan(stage, names, Variation(preset, stage.mix), cut(model, blocks, names) if stage.views else None)


def _within(training: Training, plan: _Plan, data: dict[str, Pipeline], say: Callable[[str], None]) -> _Plan:
    """Return the plan, without a cut where its activations would exceed the budget."""
    size = _cache_size(plan, training, data)
    if size <= training.cache_gigabytes * 1e9:
        return plan
    say(
        f"Stage {plan.stage.name}: its frozen part takes {size / 1e9:.1f} GB, more than training.cache_gigabytes="
        f"{training.cache_gigabytes:g}; it is computed anew in each epoch, which is slower."
    )
    return replace(plan, cut=None)


def _cache_size(plan: _Plan, training: Training, data: dict[str, Pipeline]) -> int:
    """Return bytes; 0 where nothing is cached."""
    images = plan.views * len(data["train"].table) + len(data["val"].table)
    return 0 if plan.cut is None else size_of(plan.cut, images, training.cache_dtype)


def _sharing_a_pass(plans: Sequence[_Plan], training: Training, data: dict[str, Pipeline]) -> list[list[_Plan]]:
    """Group stages that follow each other and share one pass through the frozen part.

    None may cut behind the one before it, and what all of them keep must fit the budget.
    """
    groups: list[list[_Plan]] = []
    for plan in plans:
        group = groups[-1] if groups else []
        together = sum(_cache_size(one, training, data) for one in (*group, plan))
        fits = together <= training.cache_gigabytes * 1e9
        if group and fits and plan.cut and group[-1].cut and _can_follow(plan, group[-1]):
            group.append(plan)
        else:
            groups.append([plan])
    return groups


def _can_follow(plan: _Plan, last: _Plan) -> bool:
    varied_alike = plan.variation == last.variation and plan.stage.class_weights == last.stage.class_weights
    return varied_alike and plan.views == last.views and plan.cut.depth <= last.cut.depth


@dataclass(frozen=True)
class _Source:
    """What a stage trains on and with.

    Attributes:
        trainer: the model, or its part behind the frozen one; the layers are the model's own.
        epoch: from an epoch's seed to its batches.
        validate: returns the validation logits (N, findings).
    """

    trainer: keras.Model
    epoch: Callable[[int], tf.data.Dataset | keras.utils.PyDataset]
    validate: Callable[[], np.ndarray]


def _sources(
    model: keras.Model, group: Sequence[_Plan], data: dict[str, Pipeline], dtype: str, seed: int
) -> Iterator[_Source]:
    """Yield the source of each stage of a group; of the frozen part, all are computed at the first."""
    variation, class_weights = group[0].variation, group[0].stage.class_weights
    if group[0].cut is None:
        # A second model of the same layers: `model` itself is never compiled, so nothing of an optimizer is saved.
        yield _Source(
            keras.Model(model.inputs, model.outputs),
            lambda seed: data["train"].epoch(seed, variation, class_weights),
            lambda: predict_logits(model, data["val"]),
        )
        return
    cached = cache([plan.cut for plan in group], data, group[0].views, variation, class_weights, dtype, seed)
    for plan in group:
        yield _cached_source(plan.cut, cached.pop(0), data["train"].batch_size)


def _cached_source(parts: Cut, cached: dict[str, Activations], batch_size: int) -> _Source:
    validation = [array[0] for array in cached["val"].arrays]
    scorer = keras.Model(parts.suffix.inputs, parts.suffix.outputs)
    return _Source(
        parts.suffix,
        lambda seed: CachedEpoch(cached["train"], batch_size, seed),
        lambda: scorer.predict(validation, batch_size=batch_size, verbose=0),
    )


def _compile(trainer: keras.Model, stage: Stage, blocks: Sequence[Block], steps: int) -> None:
    loss = MaskedCrossEntropy(stage.label_smoothing, stage.focal_gamma)
    trainer.compile(optimizer(stage, stage.epochs * steps, trainer, blocks), loss, jit_compile=False)


def _kernels(trainer: keras.Model, blocks: Sequence[Block]) -> list[keras.Variable]:
    """Return what L2-SP holds: the trainable kernels of the backbone; the head has no start worth keeping."""
    head = set(blocks[-1].layers)
    return [
        variable
        for layer in trainer.layers
        if layer.name not in head
        for variable in layer.trainable_variables
        if "kernel" in variable.name
    ]


def _train_epoch(source: _Source, stage: Stage, number: int, data: dict[str, Pipeline], seed: int) -> Epoch:
    with EpochBar(stage, number, data["train"].steps) as bar:
        log = source.trainer.fit(
            source.epoch(seed),
            epochs=number + 1,
            initial_epoch=number,
            callbacks=[bar.callback],
            shuffle=False,
            verbose=0,
        )
        loss, logits = log.history["loss"][0], source.validate()
        if not (np.isfinite(loss) and np.isfinite(logits).all()):
            raise UserError(
                f"stage {stage.name}, epoch {number + 1}: the loss is {loss}; lower the stage's lr ({stage.lr})."
            )
        targets = data["val"].targets
        epoch = Epoch(
            stage=stage.name,
            epoch=number + 1,
            loss=float(loss),
            val_loss=float(keras.ops.mean(MaskedCrossEntropy()(targets, logits))),
            val_auc=_mean_auc(targets, logits),
        )
        bar.finish(epoch.val_auc)
    return epoch


def _mean_auc(targets: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean AUC over the findings of which validation knows both answers."""
    columns = [
        (target[target != UNKNOWN], logit[target != UNKNOWN]) for target, logit in zip(targets.T, logits.T, strict=True)
    ]
    return float(np.mean([roc_auc_score(target, logit) for target, logit in columns if len(set(target)) == 2]))

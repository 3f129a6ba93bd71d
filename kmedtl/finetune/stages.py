"""Staged fine-tuning: a stage toggles what trains, gets a new optimizer, is compiled, and fits.

Both the new optimizer and `compile` are needed: Keras 3 decides what trains when it compiles, so toggling alone does
nothing. BatchNorm layers stay frozen one by one, because `training=False` does not survive `fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from kmedtl.backbones.blocks import Block, select, set_trainable
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.predictor import probabilities
from kmedtl.errors import UserError
from kmedtl.finetune.optimizers import optimizer
from kmedtl.finetune.progress import EpochBar
from kmedtl.recipe import Stage


@dataclass(frozen=True)
class Epoch:
    """A row of `history.csv`: losses are mean cross-entropy in nats, `val_auc` lies in 0–1."""

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
    augment: str,
    seed: int,
) -> list[Epoch]:
    """Train `model` in place, stage by stage, and leave it with the weights of the best epoch of all.

    Each stage starts from the best epoch so far. An epoch's order and augmentation follow from `seed` and its number
    alone.

    Raises:
        UserError: a stage that names no block, or a loss that is not finite, with the stage and epoch.
    """
    for stage in stages:
        select(blocks, stage.train)  # a misspelt block of the last stage is refused before the first one trains
    # The same layers under a second name: `model` is never compiled, so its predict function is traced only once and
    # no optimizer is saved with it.
    trainer = keras.Model(model.inputs, model.outputs)
    history: list[Epoch] = []
    best = None
    for stage in stages:
        set_trainable(trainer, blocks, stage.train, batch_norm="frozen")
        loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=stage.label_smoothing)
        trainer.compile(optimizer(stage, stage.epochs * data["train"].steps), loss, jit_compile=False)
        for number in range(stage.epochs):
            epoch = _train_epoch(trainer, model, stage, number, data, augment, seed + 1000 * len(history))
            if not history or epoch.merit > max(past.merit for past in history):
                best = model.get_weights()
            history.append(epoch)
        model.set_weights(best)
    return history


def predict_logits(model: keras.Model, pipeline: Pipeline) -> np.ndarray:
    """Return the logits, float32 (N,), in the order of the pipeline's table."""
    return model.predict(pipeline.images(), verbose=0)[:, 0]


def _train_epoch(
    trainer: keras.Model,
    model: keras.Model,
    stage: Stage,
    number: int,
    data: dict[str, Pipeline],
    augment: str,
    seed: int,
) -> Epoch:
    batches = data["train"].epoch(seed, augment)
    with EpochBar(stage, number, data["train"].steps) as bar:
        log = trainer.fit(
            batches,
            epochs=number + 1,
            initial_epoch=number,
            callbacks=[bar.callback],
            shuffle=False,
            verbose=0,
        )
        loss = log.history["loss"][0]
        logits = predict_logits(model, data["val"])
        if not (np.isfinite(loss) and np.isfinite(logits).all()):
            raise UserError(
                f"stage {stage.name}, epoch {number + 1}: the loss is {loss}; lower the stage's lr ({stage.lr})."
            )
        labels = data["val"].labels
        epoch = Epoch(
            stage=stage.name,
            epoch=number + 1,
            loss=float(loss),
            val_loss=float(log_loss(labels, probabilities(logits, 1.0))),
            val_auc=float(roc_auc_score(labels, logits)),
        )
        bar.finish(epoch.val_auc)
    return epoch

"""What fine-tuning is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from kmedtl.backbones.blocks import Block
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.tasks.classification.labels import LabelKind
from kmedtl.finetune.checkpoint import Epoch
from kmedtl.recipe import Training


@dataclass(frozen=True)
class TrainingJob:
    """A model, what it learns from, and who wants to know.

    Attributes:
        model, blocks: from raw pixels to logits; trained in place.
        data: `train` and `val`, never the test; where `worst_shift` selects, `shift` as well.
        preset: of `kmedtl.data.augment`, for stages that name none.
        seed: an epoch's order and augmentation follow from it and from the epoch's number alone.
        kind: what is asked of an image, which decides the loss.
        taught: the targets of `train` hold a teacher's answers behind the labels, as `Distillation` takes them.
        log: receives what a person should know, such as a stage that does not fit the cache.
        after_epoch: called with each epoch when it is done, and its number counted over all stages.
        folder: keeps the state after each epoch; if it holds one, the training goes on from there. None: no state.
    """

    model: keras.Model
    blocks: Sequence[Block]
    data: dict[str, Pipeline]
    preset: str
    training: Training
    seed: int
    kind: LabelKind = "binary"
    taught: bool = False
    log: Callable[[str], None] = print
    after_epoch: Callable[[Epoch, int], None] = lambda epoch, number: None
    folder: Path | None = None

"""What fine-tuning is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from kmedtl.backbones.blocks import Block
from kmedtl.data.pipeline import Pipeline
from kmedtl.finetune.checkpoint import Epoch
from kmedtl.recipe import Evaluation, Stage, Training
from kmedtl.tasks.task import SoftAnswers, Task


@dataclass(frozen=True)
class TrainingJob:
    """A model, what it learns from, and who wants to know.

    Attributes:
        model, blocks: from raw pixels to named outputs; trained in place.
        data: `train` and `val`, never the test; where `worst_shift` selects, `shift` as well.
        preset: of `kmedtl.data.augment`, for stages that name none.
        seed: an epoch's order and augmentation follow from it and from the epoch's number alone.
        task, question: what is asked of an image, which decides losses and figures.
        distilled: the targets of `train` hold a teacher's answers behind the labels, as the task's losses take them.
        domain: the column of the training table that tells the domain of an image.
        goes_on: the head was trained before, so L2-SP holds it as well.
        log: receives what a person should know, such as a stage that does not fit the cache.
        after_epoch: called with each epoch when it is done, and its number counted over all stages.
        while_gaining: a further stage trains only where the one before it gained more on validation than its noise, and
            where `training.minutes` leave time for it.
        unlabelled: images without targets, for stages whose objective takes them; None: there are none.
        evaluation: how the answers that these are given are calibrated, on validation.
        folder: keeps the state after each epoch; if it holds one, the training goes on from there. None: no state.
    """

    model: keras.Model
    blocks: Sequence[Block]
    data: dict[str, Pipeline]
    preset: str
    training: Training
    seed: int
    task: Task
    question: Any
    distilled: bool = False
    domain: str = "site"
    goes_on: bool = False
    log: Callable[[str], None] = print
    after_epoch: Callable[[Epoch, int], None] = lambda epoch, number: None
    while_gaining: bool = False
    folder: Path | None = None
    unlabelled: Pipeline | None = None
    evaluation: Evaluation = field(default_factory=Evaluation)

    @property
    def soft(self) -> SoftAnswers:
        """What images without targets can teach, of a task that has such answers."""
        found = self.task.network().soft
        assert found is not None  # as `kmedtl.finetune.objectives.check_objectives` sees to
        return found

    def losses(self, stage: Stage | None = None) -> dict[str, keras.losses.Loss]:
        """Return the loss of each output in a stage; without a stage the plain ones that validation reports."""
        known = self.data["train"].targets if stage else None
        return self.task.network().losses(self.question, stage, self.training, self.distilled, known)

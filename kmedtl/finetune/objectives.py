"""What a stage learns by: a row an objective, beside the supervised one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from kmedtl.backbones.blocks import HEAD, select
from kmedtl.data.pipeline import UNLABELLED, Pipeline
from kmedtl.errors import UserError, expect
from kmedtl.finetune.contrastive import contrastive
from kmedtl.finetune.frozen_prefix import Activations, ModelSplit
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.mean_teacher import mean_teacher
from kmedtl.finetune.mixmatch import mixmatch, partners
from kmedtl.finetune.stage_data import Behind, Losses, Source, validation
from kmedtl.finetune.stage_plan import Plan
from kmedtl.finetune.unlabelled_images import answered, like_training
from kmedtl.finetune.unlabelled_steps import Draws, EpochOfBoth, LossOfBoth, Step, StepOnBoth, as_inputs, no_draws
from kmedtl.recipe import Stage
from kmedtl.tasks.task import Network


@dataclass(frozen=True)
class Objective:
    """How images without labels teach.

    Attributes:
        images: (job, stage) → those that do, with what they are answered, if they are before the stage begins; None:
            there are none, and training images alone do.
        source: (job, the cut model, what is cached at its cut, the training images, `Plan`) → `Source`.
        asks: the images are answered, in place of labels, by what the task's outputs say.
    """

    images: Callable[[TrainingJob, Stage], Pipeline | None]
    source: Callable[..., Source]
    asks: bool = True


def _pseudo(job: TrainingJob, stage: Stage, suffix: Any, count: int, steps: int) -> Step:
    """Learn the answers by the labels' own loss."""

    def losses(found: Losses) -> Losses:
        return {name: LossOfBoth(loss, count, loss, stage.unlabelled_weight) for name, loss in found.items()}

    return Step(lambda inputs, targets: (as_inputs(inputs), targets), losses)


def _on_both(
    step_of: Callable[..., Step],
    draws: Draws,
    job: TrainingJob,
    cut: ModelSplit,
    cached: dict[str, Activations],
    train: Pipeline,
    plan: Plan,
) -> Source:
    """Return the source of a stage whose steps take labelled and unlabelled images.

    Args:
        step_of: (job, stage, the model behind the cut, labelled images a batch, steps of the stage) → `Step`.
        draws: what a step draws besides.
    """
    labelled, unlabelled, stage = cached["train"], cached[UNLABELLED], plan.stage

    def epoch(seed: int) -> EpochOfBoth:
        return EpochOfBoth(labelled, unlabelled, train.batch_size, seed, stage.fewest_views, draws)

    trainer, steps = StepOnBoth(cut.suffix.inputs, cut.suffix.output), len(epoch(0))
    step = step_of(job, stage, cut.suffix, epoch(0).counts[0], steps * stage.epochs)
    trainer.before = step.before
    validate = validation(cut, cached, train.batch_size)
    return Source(
        trainer, epoch, steps, lambda seed, number: epoch(seed).rows(number), validate, step.losses, step.begin
    )


OBJECTIVES: Mapping[str, Objective] = {
    "pseudo": Objective(answered, partial(_on_both, _pseudo, no_draws)),
    "mean_teacher": Objective(like_training, partial(_on_both, mean_teacher, no_draws)),
    "mixmatch": Objective(like_training, partial(_on_both, mixmatch, partners)),
    "simclr": Objective(lambda job, stage: job.unlabelled, contrastive, asks=False),
}


def check_objectives(job: TrainingJob, stages: Iterable[Stage]) -> None:
    """Refuse stages that would learn without labels from nothing, or what the task's images cannot teach so.

    Raises:
        UserError: no images, volumes, a task without such answers, a head alone, or devices that a step is divided
            among.
    """
    for stage in stages:
        if not stage.is_supervised:
            _check_objective(job, stage, OBJECTIVES[stage.objective])


def _check_objective(job: TrainingJob, stage: Stage, objective: Objective) -> None:
    def check(holds: bool, expected: str, received: str = stage.objective) -> None:
        expect(holds, f"stage {stage.name}: objective", expected, received)

    network: Network = job.task.network()
    answers = network.soft is not None and job.task.vote is not None and job.task.vote.teach is not None
    check(not job.data["train"].pooling, "supervised beside volumes")
    check(answers or not objective.asks, "supervised beside this task")
    beside = f"beside objective={stage.objective}"
    check(job.unlabelled is not None or not objective.asks, "images in data.unlabelled", f"none {beside}")
    learns = objective.asks or select(job.blocks, stage.train) != (HEAD,)
    expect(learns, f"stage {stage.name}: train", f"blocks of the backbone, such as all, {beside}", stage.train)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise UserError(f"training.strategy: expected one device {beside}, such as cpu. Received: several.")


def images_of(job: TrainingJob, stage: Stage) -> dict[str, Pipeline]:
    """Return the parts that a stage learns from and is judged by."""
    objective = OBJECTIVES.get(stage.objective)
    images = objective.images(job, stage) if objective else None
    return job.data | {UNLABELLED: images} if images else job.data


def behind_of(job: TrainingJob, stage: Stage) -> Behind | None:
    """Return what makes the stage's source of cached activations; None: it is supervised."""
    objective = OBJECTIVES.get(stage.objective)
    return partial(objective.source, job) if objective else None

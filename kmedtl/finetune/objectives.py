"""What a stage learns by: a row an objective, beside the supervised one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from kmedtl.data.pipeline import UNLABELLED, Pipeline
from kmedtl.errors import UserError
from kmedtl.finetune.frozen_prefix import Activations, ModelSplit
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.mean_teacher import mean_teacher
from kmedtl.finetune.mixmatch import mixmatch, partners
from kmedtl.finetune.stage_data import Behind, Losses, Source, validation
from kmedtl.finetune.unlabelled_images import answered, like_training
from kmedtl.finetune.unlabelled_steps import Draws, EpochOfBoth, LossOfBoth, Step, StepOnBoth, as_inputs, no_draws
from kmedtl.recipe import Stage
from kmedtl.tasks.task import Network


@dataclass(frozen=True)
class Objective:
    """How images without labels teach.

    Attributes:
        images: (job, stage) → those that do, with what they are answered, if they are before the stage begins.
        step: (job, stage, the model behind the cut, labelled images a batch, steps of the stage) → `Step`.
        draws: what a step draws besides.
    """

    images: Callable[[TrainingJob, Stage], Pipeline]
    step: Callable[..., Step]
    draws: Draws = no_draws


def _pseudo(job: TrainingJob, stage: Stage, suffix: Any, count: int, steps: int) -> Step:
    """Learn the answers by the labels' own loss."""

    def losses(found: Losses) -> Losses:
        return {name: LossOfBoth(loss, count, loss, stage.unlabelled_weight) for name, loss in found.items()}

    return Step(lambda inputs, targets: (as_inputs(inputs), targets), losses)


OBJECTIVES: Mapping[str, Objective] = {
    "pseudo": Objective(answered, _pseudo),
    "mean_teacher": Objective(like_training, mean_teacher),
    "mixmatch": Objective(like_training, mixmatch, partners),
}


def check_objectives(job: TrainingJob, stages: Iterable[Stage]) -> None:
    """Refuse stages that would learn without labels from nothing, or what the task's images cannot teach so.

    Raises:
        UserError: no images, a task without such answers, or devices that a step is divided among.
    """
    for stage in stages:
        if stage.is_supervised:
            continue
        place = f"stage {stage.name}: objective"
        if job.unlabelled is None:
            raise UserError(f"{place}: expected images in data.unlabelled. Received: none beside {stage.objective}.")
        network: Network = job.task.network()
        if network.soft is None or job.task.vote is None or job.task.vote.teach is None:
            raise UserError(f"{place}: expected supervised beside this task. Received: {stage.objective}.")
        if tf.distribute.has_strategy():
            raise UserError(
                f"training.strategy: expected auto, and one GPU or none, beside objective={stage.objective}. Received: "
                "other or more; hide all GPUs but one, as by CUDA_VISIBLE_DEVICES=0."
            )


def images_of(job: TrainingJob, stage: Stage) -> dict[str, Pipeline]:
    """Return the parts that a stage learns from and is judged by."""
    objective = OBJECTIVES.get(stage.objective)
    return job.data | {UNLABELLED: objective.images(job, stage)} if objective else job.data


def behind_of(job: TrainingJob, stage: Stage) -> Behind | None:
    """Return what makes the stage's source of cached activations; None: it is supervised."""
    objective = OBJECTIVES.get(stage.objective)
    return partial(_behind, job, objective) if objective else None


def _behind(
    job: TrainingJob,
    objective: Objective,
    cut: ModelSplit,
    cached: dict[str, Activations],
    train: Pipeline,
    stage: Stage,
) -> Source:
    labelled, unlabelled = cached["train"], cached[UNLABELLED]

    def epoch(seed: int) -> EpochOfBoth:
        return EpochOfBoth(labelled, unlabelled, train.batch_size, seed, stage.fewest_views, objective.draws)

    trainer, steps = StepOnBoth(cut.suffix.inputs, cut.suffix.output), len(epoch(0))
    step = objective.step(job, stage, cut.suffix, epoch(0).counts[0], steps * stage.epochs)
    trainer.before = step.before
    validate = validation(cut, cached, train.batch_size)
    return Source(
        trainer, epoch, steps, lambda seed, number: epoch(seed).rows(number), validate, step.losses, step.begin
    )

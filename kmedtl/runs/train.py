"""How a recipe becomes a trained model: built, its stages planned, fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import keras

from kmedtl.backbones.blocks import Block, block_map
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.tasks.classification.labels import LabelKind
from kmedtl.ensemble.soups import average_weights
from kmedtl.ensemble.teacher import with_teacher_targets
from kmedtl.finetune import stages
from kmedtl.finetune.block_importance import check_stage
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.finetune.distribution import devices
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.presets import pick, stages_of
from kmedtl.recipe import CLASSIFIERS, SOUPS, Recipe, Stage
from kmedtl.runs.tracking import tracking
from kmedtl.tasks.classification.classifiers import fit_classifier
from kmedtl.tasks.classification.model import build_classifier


def train(
    recipe: Recipe, kind: LabelKind, data: dict[str, Pipeline], folder: Path, log: Callable[[str], None]
) -> tuple[keras.Model, Recipe, Checkpoint | None]:
    """Return the trained model in float32, the recipe with the stages as they turned out, and how it learned."""
    findings = data["train"].targets.shape[1]
    if recipe.schedule in CLASSIFIERS:
        log(f"Schedule {recipe.schedule}: no network trains; data.augment and training.* have no effect.")
        with tracking(recipe, folder):
            model, _ = build(recipe, findings)
            return fit_classifier(model, recipe.schedule, data, recipe.seed, log), recipe, None
    if recipe.schedule in SOUPS:
        with tracking(recipe, folder):
            model, _ = build(recipe, findings)
            average_weights(model, recipe, kind, data, log)
        return model, recipe, None
    with devices(recipe.training), tracking(recipe, folder) as after_epoch:
        model, blocks = build(recipe, findings)
        planned = plan_stages(recipe, len(data["train"].table), blocks, log)
        task = replace(training_job(recipe, model, blocks, data, kind, log), after_epoch=after_epoch, folder=folder)
        trained = stages.fine_tune(task, planned)
    whole, _ = build(recipe, findings)  # of float32, on one device
    whole.set_weights(model.get_weights())
    schedule = "stages" if planned else recipe.schedule
    return whole, replace(recipe, stages=tuple(trained.stages), schedule=schedule), trained


def training_job(
    recipe: Recipe,
    model: keras.Model,
    blocks: Sequence[Block],
    data: dict[str, Pipeline],
    kind: LabelKind,
    log: Callable[[str], None],
) -> TrainingJob:
    """Return what fine-tuning is given: the test is no part of it, but that no teacher may know its patients."""
    seen = {split: data[split] for split in ("train", "val")}
    if recipe.distill:
        seen["train"] = with_teacher_targets(recipe, data, log)
    is_taught = bool(recipe.distill)
    return TrainingJob(model, blocks, seen, recipe.data.augment, recipe.training, recipe.seed, kind, is_taught, log)


def build(recipe: Recipe, findings: int = 1) -> tuple[keras.Model, tuple[Block, ...]]:
    """Return the recipe's model, the same each time, and its blocks.

    Raises:
        UserError: weights that cannot be had, a block that is not there.
    """
    keras.utils.set_random_seed(recipe.seed)
    model = build_classifier(recipe.backbone, recipe.head, recipe.data.size, recipe.data.channels, findings)
    blocks = block_map(model, recipe.backbone.name)
    for stage in recipe.stages:
        check_stage(stage, blocks)
    return model, blocks


def plan_stages(recipe: Recipe, images: int, blocks: Sequence[Block], log: Callable[[str], None]) -> tuple[Stage, ...]:
    """Return the recipe's stages, or those that its schedule makes of so many training images."""
    if recipe.schedule in ("stages", "untrained"):
        return recipe.stages
    planned = stages_of(recipe.schedule, images, recipe.data.batch_size, blocks)
    name = f"auto, {pick(images)}" if recipe.schedule == "auto" else recipe.schedule
    said = "; ".join(f"{stage.name} ({stage.train}) {stage.epochs} epochs" for stage in planned)
    log(f"Schedule ({name}) for {images} training images: {said}")
    return planned

"""One trial: a recipe, trained on the images that a search may see, and judged by its best epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kmedtl.backbones.blocks import Block, block_map
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.tasks.task import Outputs
from kmedtl.finetune.checkpoint import Epoch
from kmedtl.finetune.distribution import devices, is_plain
from kmedtl.finetune.stage_data import predict_outputs
from kmedtl.finetune.stages import fine_tune
from kmedtl.recipe import Recipe
from kmedtl.runs.train import build, training_job
from kmedtl.search.development import Development
from kmedtl.search.features import head_on_features
from kmedtl.search.objective import figures_of, objective_of, sign_of
from kmedtl.search.shared_backbone import shared_backbone
from kmedtl.search.space import stages_of
from kmedtl.system import memory

PATIENCE, COMPANY = 2, 5  # a trial is pruned after so many epochs, where so many others got as far


@dataclass(frozen=True)
class Job:
    """What a trial is given.

    Attributes:
        tier: of `kmedtl.search.space.tier_of`.
        features: the folder that keeps them, for all trials.
        place: the trial's own folder: a full trial that was killed goes on from there.
        courses: of earlier trials, for the pruning by the median; empty: none.
    """

    recipe: Recipe
    development: Development
    tier: str
    features: Path
    place: Path
    courses: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a trial found.

    Attributes:
        figures: of the best epoch, the mean over the divisions: those of `kmedtl.search.objective`.
        course: of the first division, epoch by epoch: the best so far of the objective, more being better.
        epochs: that were trained in all.
        pruned: it was ended early; its figures are those of the first division so far.
        outputs: of the validation images of each division; empty of a pruned trial.
        seconds: that it took.
        megabytes: most memory that the process of the trial has held so far, 10^6 bytes.
    """

    figures: dict[str, float]
    course: tuple[float, ...]
    epochs: int
    pruned: bool
    outputs: tuple[Outputs, ...]
    seconds: float
    megabytes: float


class _PrunedError(Exception):
    """Ends a training that is worse than the median of the others."""


def carry_out(job: Job) -> Outcome:
    """Train and judge a trial.

    Raises:
        UserError: whatever a run refuses, a loss that is not finite among it.
    """
    start = time.perf_counter()
    merit = merit_of(job.recipe)
    histories: list[list[Epoch]] = []
    outputs = []
    pruned = False
    for fold in range(len(job.development.divisions)):
        histories.append([])
        courses = job.courses if fold == 0 else ()
        try:
            outputs.append(_train(job, fold, _watch(histories[-1], courses, merit)))
        except _PrunedError:
            pruned = True
            break
    best = [max(history, key=lambda epoch: epoch.selection_score) for history in histories]
    return Outcome(
        figures={name: float(np.mean([figure(epoch, name) for epoch in best])) for name in figures_of(job.recipe)},
        course=_course(histories[0], merit),
        epochs=sum(map(len, histories)),
        pruned=pruned,
        outputs=() if pruned else tuple(outputs),
        seconds=time.perf_counter() - start,
        megabytes=memory.peak() / 1e6,
    )


def merit_of(recipe: Recipe) -> Callable[[Epoch], float]:
    """Return an epoch's figure of the search's objective, turned so that more is better."""
    sign, objective = sign_of(recipe), objective_of(recipe)
    return lambda epoch: sign * figure(epoch, objective)


def figure(epoch: Epoch, name: str) -> float:
    """Return a figure of an epoch by its name, the task's own among them."""
    return float(epoch.row()[name])


def fit(
    recipe: Recipe,
    model: keras.Model,
    data: dict[str, Pipeline],
    question: Any,
    tier: str,
    features: Path,
    place: Path | None = None,
    after_epoch: Callable[[Epoch, int], None] = lambda epoch, number: None,
) -> Outputs:
    """Train a model in place, the whole or on features its head; return the validation's outputs.

    Args:
        place: a folder for the state after each epoch, of a full trial.
    """
    blocks: Sequence[Block] = block_map(model, recipe.backbone.name)
    stages = stages_of(recipe, tier)
    parts: dict[str, Any] = data  # or features in their place
    if tier == "head":
        model, blocks, parts = head_on_features(recipe, stages[0], model, blocks, data, features)
    job = training_job(recipe, model, blocks, parts, question, print)
    fine_tune(replace(job, after_epoch=after_epoch, folder=place if tier == "full" else None), stages)
    return predict_outputs(model, parts["val"])


def _train(job: Job, fold: int, after_epoch: Callable[[Epoch, int], None]) -> Outputs:
    place = job.place / f"fold-{fold + 1}"
    place.mkdir(parents=True, exist_ok=True)
    data = job.development.parts(fold, job.recipe.data.batch_size)
    with devices(job.recipe.training):
        # Of several devices or another precision the weights belong to this very block.
        on = shared_backbone if job.tier == "head" and is_plain() else None
        model, _ = build(job.recipe, job.development.question, on=on)
        return fit(job.recipe, model, data, job.development.question, job.tier, job.features, place, after_epoch)


def _watch(
    history: list[Epoch], courses: Sequence[tuple[float, ...]], selection_score: Callable[[Epoch], float]
) -> Callable[[Epoch, int], None]:
    """Return what notes each epoch, and ends the training where the median rule says so."""

    def after_epoch(epoch: Epoch, number: int) -> None:
        history.append(epoch)
        others = [course[number - 1] for course in courses if len(course) >= number]
        enough = len(history) >= PATIENCE and len(others) >= COMPANY
        if enough and _course(history, selection_score)[-1] < np.median(others):
            raise _PrunedError

    return after_epoch


def _course(history: Sequence[Epoch], selection_score: Callable[[Epoch], float]) -> tuple[float, ...]:
    return tuple(np.maximum.accumulate([selection_score(epoch) for epoch in history]).tolist())

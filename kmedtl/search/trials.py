"""One trial: a recipe, trained on the images that a search may see, and judged by its best epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from kmedtl.backbones.blocks import Block, block_map
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.tasks.classification.calibration import against_rest
from kmedtl.edge.tasks.classification.labels import LabelKind
from kmedtl.finetune.checkpoint import Epoch
from kmedtl.finetune.distribution import devices
from kmedtl.finetune.stage_data import predict_logits
from kmedtl.finetune.stages import fine_tune
from kmedtl.recipe import Recipe
from kmedtl.runs.train import build, training_job
from kmedtl.search.development import Development
from kmedtl.search.features import head_on_features
from kmedtl.search.space import stages_of
from kmedtl.system import memory

FIGURES = {"val_auc": "max", "val_loss": "min", "score": "max"}  # of an epoch, and which way is better
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
        figures: of the best epoch, the mean over the divisions: the names of `FIGURES`.
        course: of the first division, epoch by epoch: the best so far of the objective, more being better.
        epochs: that were trained in all.
        pruned: it was ended early; its figures are those of the first division so far.
        logits: of the validation images of each division, (N, findings), of several classes against the rest; empty
            of a pruned trial.
        seconds: that it took.
        megabytes: most memory that the process of the trial has held so far, 10^6 bytes.
    """

    figures: dict[str, float]
    course: tuple[float, ...]
    epochs: int
    pruned: bool
    logits: tuple[np.ndarray, ...]
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
    selection_score = merit_of(job.recipe.search.objective)
    histories: list[list[Epoch]] = []
    logits = []
    pruned = False
    for fold in range(len(job.development.divisions)):
        histories.append([])
        courses = job.courses if fold == 0 else ()
        try:
            logits.append(_train(job, fold, _watch(histories[-1], courses, selection_score)))
        except _PrunedError:
            pruned = True
            break
    best = [max(history, key=lambda epoch: epoch.selection_score) for history in histories]
    return Outcome(
        figures={name: float(np.mean([getattr(epoch, name) for epoch in best])) for name in FIGURES},
        course=_course(histories[0], selection_score),
        epochs=sum(map(len, histories)),
        pruned=pruned,
        logits=() if pruned else tuple(logits),
        seconds=time.perf_counter() - start,
        megabytes=memory.peak() / 1e6,
    )


def merit_of(objective: str) -> Callable[[Epoch], float]:
    """Return an epoch's figure of that name, turned so that more is better."""
    sign = sign_of(objective)
    return lambda epoch: sign * getattr(epoch, objective)


def sign_of(objective: str) -> int:
    """Return 1 where more of a figure is better, else −1."""
    return 1 if FIGURES[objective] == "max" else -1


def fit(
    recipe: Recipe,
    model: keras.Model,
    data: dict[str, Pipeline],
    kind: LabelKind,
    tier: str,
    features: Path,
    place: Path | None = None,
    after_epoch: Callable[[Epoch, int], None] = lambda epoch, number: None,
) -> np.ndarray:
    """Train a model in place, the whole or on features its head; return the validation's logits (N, findings).

    Args:
        place: a folder for the state after each epoch, of a full trial.
    """
    blocks: Sequence[Block] = block_map(model, recipe.backbone.name)
    stages = stages_of(recipe, tier)
    if tier == "head":
        model, blocks, data = head_on_features(recipe, stages[0], model, blocks, data, features)
    task = training_job(recipe, model, blocks, data, kind, print)
    fine_tune(replace(task, after_epoch=after_epoch, folder=place if tier == "full" else None), stages)
    logits = predict_logits(model, data["val"])
    return against_rest(logits) if kind == "multi_class" else logits


def _train(job: Job, fold: int, after_epoch: Callable[[Epoch, int], None]) -> np.ndarray:
    place = job.place / f"fold-{fold + 1}"
    place.mkdir(parents=True, exist_ok=True)
    data = job.development.parts(fold, job.recipe.data.batch_size)
    with devices(job.recipe.training):
        model, _ = build(job.recipe, job.development.findings)
        return fit(job.recipe, model, data, job.development.kind, job.tier, job.features, place, after_epoch)


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

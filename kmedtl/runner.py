"""One run, from a recipe to a finished run folder. Read it from the top: it is the picture in docs/architecture.md."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

import kmedtl
from kmedtl import config
from kmedtl.audit import page
from kmedtl.backbones import registry
from kmedtl.backbones.weights import card_of
from kmedtl.data import contact_sheet, splits
from kmedtl.data.contact_sheet import Sample
from kmedtl.data.manifest import Manifest
from kmedtl.data.pipeline import UNLABELLED, Pipeline
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.out_of_distribution import OutOfDistribution
from kmedtl.edge.shapes import ModelInputs
from kmedtl.explain.gallery import explained
from kmedtl.explain.overlay import ExampleImage
from kmedtl.export.exporting import LabelledImages, TrainedModel, export
from kmedtl.export.provenance import hashes
from kmedtl.files import names
from kmedtl.files.csv_tables import write_csv
from kmedtl.finetune.determinism import deterministic
from kmedtl.recipe import Recipe
from kmedtl.runs import cross_validation, run_folder
from kmedtl.runs import result as results
from kmedtl.runs.ablation import ablation
from kmedtl.runs.alone import ask_alone
from kmedtl.runs.answers import Answers, answers_of, arrays_of, known_images, predictions_of
from kmedtl.runs.cross_validation import CrossValidation
from kmedtl.runs.divide import describe, divided
from kmedtl.runs.environment import Start, environment, now
from kmedtl.runs.fusion import Joined, join
from kmedtl.runs.prepare import Prepared, prepare_run
from kmedtl.runs.result import Result
from kmedtl.runs.resume import begin
from kmedtl.runs.slices import slices_of
from kmedtl.runs.tracking import log_result
from kmedtl.runs.train import train
from kmedtl.runs.unlabelled import notes_of
from kmedtl.runs.update.images import split
from kmedtl.runs.update.judge import judge
from kmedtl.runs.views import views_of
from kmedtl.tasks import task_of
from kmedtl.tasks.look import look_of
from kmedtl.tasks.task import Case, Evaluation, Examples, Fit


def run(
    recipe: Recipe, out: str | Path | None = None, log: Callable[[str], None] = print, resume: bool = False
) -> tuple[Result | CrossValidation, Path]:
    """Carry out a recipe; return what it found and the run folder.

    Args:
        out: the folder to make; None: a new one under `saved_models/`. That of a rejected update gets another name.
        log: receives what a person reads, a few lines at a time.
        resume: go on with a run that stopped or was killed, after its last epoch; without `out`: with the youngest one
            of the recipe. It ends with the predictions that it would have ended with.

    Raises:
        UserError: whatever the user can mend; nothing is left half-written.
    """
    start = Start(now(), resume)
    final = run_folder.choose(out, recipe.name, resume)
    if recipe.update.run:
        run_folder.choose(run_folder.rejected(final), recipe.name)
    result: Result | CrossValidation

    def name() -> Path:
        turned_down = isinstance(result, Result) and result.info.rejected
        return run_folder.rejected(final) if turned_down else final

    with run_folder.building(final, resume, log, name) as folder, deterministic():
        log = run_folder.logged(log, folder)
        begin(recipe, folder)
        data = prepare_run(recipe)
        page.write(data.audit, data.store, data.manifest, data.listed, folder)
        if recipe.data.folds:
            result = _cross_validate(recipe, data, folder, log, start)
        else:
            table = split(recipe, data.manifest, data.table)
            result, _ = _run_split(recipe, data, table, folder, log, start)
    return result, name()


def _cross_validate(
    recipe: Recipe, data: Prepared, folder: Path, log: Callable[[str], None], start: Start
) -> CrossValidation:
    """Run once for each fold, in a folder of its own, and pool what the folds say of their tests."""
    found, tests = {}, {}
    divided = splits.folds(data.manifest, data.table, recipe.data.folds, recipe.data.validation, recipe.seed)
    # All at once: a fold that cannot be is refused before the first trains.
    for number, (name, table) in enumerate(list(divided), 1):
        log(f"\n{name}")
        place = folder / f"fold-{number}"  # a site's name may be anything
        place.mkdir(exist_ok=True)
        began = Start(now(), start.resumed)
        found[name], tests[name] = _run_split(recipe, data, table, place, log, began, "../audit.html")
    pooled = cross_validation.pool(found, tests, recipe, environment(start))
    cross_validation.write(pooled, folder)
    return pooled


def _run_split(
    recipe: Recipe,
    data: Prepared,
    table: pd.DataFrame,
    folder: Path,
    log: Callable[[str], None],
    start: Start,
    audit_page: str = "audit.html",
) -> tuple[Result, Examples]:
    """Train on one division of the images, judge on its test, write everything; return what was found, and the test."""
    task, question = task_of(recipe.task), data.question
    table, parts = divided(recipe, data, table)
    manifest, hidden = replace(data.manifest, table=table), data.audit.burned_in  # the text may be a name
    if data.unlabelled:
        warnings = (*data.audit.warnings, *notes_of(data.unlabelled, table))
        data = replace(data, audit=replace(data.audit, warnings=warnings))
        write_csv(parts[UNLABELLED].table[["id", "path", "patient"]], folder / names.UNLABELLED)
    log(describe(data.audit, data.manifest, parts))

    model, recipe, trained = train(recipe, question, parts, folder, log)
    joined = join(model, recipe, question, parts, log)
    model = joined.model

    given = {split: answers_of(model, parts[split], recipe) for split in ("val", "test")}
    held_out = given["val"].examples.shifted(joined.held_out)
    answers = given | {"val": replace(given["val"], examples=held_out)}
    validation, test = answers["val"], answers["test"]
    fit = task.fit_decoder(question, recipe.evaluation, validation.examples, recipe.seed)  # validation chooses,
    evaluation = task.evaluate(question, recipe.evaluation, test.examples, fit, recipe.seed)  # the test judges

    alone = ask_alone(recipe, question, parts, test.examples, fit, folder, log)
    known = known_images(model, parts["train"], validation, recipe.seed)
    looked = look_of(validation.examples, fit.decoder, recipe.evaluation.operating_point, known)
    info = replace(_describe_model(recipe, manifest, fit.decoder, known, parts["train"]), validation=looked)
    updated = judge(recipe, question, parts, manifest, test.examples, fit.decoder) if recipe.update.run else None
    if updated:
        info = replace(info, updated=(*updated.before, updated.record))
    tiles = tuple(_explained(model, test, recipe, question, fit, hidden))
    subject = _trained_model(joined, info, recipe, question, fit, evaluation, parts["train"], given)
    result = Result(
        recipe=recipe,
        question=question,
        manifest=manifest,
        audit=data.audit,
        trained=trained,
        predictions=predictions_of(answers, known, recipe, question, fit.decoder),
        arrays=arrays_of(answers, recipe, question),
        info=info,
        fit=fit,
        evaluation=evaluation,
        parity=export(subject, folder, recipe.export.formats),
        tiles=tiles,
        samples=tuple(_samples(parts["train"], manifest, recipe, question, hidden)),
        environment=environment(start),
        audit_page=audit_page,
        alone=alone,
        update=updated,
        slices=slices_of(test, tiles, recipe.data.reading),
        views=views_of(test, recipe, question, fit),
        ablation=ablation(joined, recipe, question, parts, {name: one.examples for name, one in answers.items()}, fit),
    )
    results.write(result, folder)
    log_result(recipe, folder, {name: estimate.value for name, estimate in evaluation.estimates.items()})
    return result, test.examples


def _trained_model(
    joined: Joined,
    info: ModelInfo,
    recipe: Recipe,
    question: Any,
    fit: Fit,
    evaluation: Evaluation,
    training: Pipeline,
    answers: dict[str, Answers],
) -> TrainedModel:
    def sample(count: int) -> ModelInputs:
        return training.sample(count, recipe.seed)

    validation, test = (LabelledImages(part.inputs, part.examples, part.bags) for part in answers.values())
    validation = replace(validation, held_out=joined.held_out)
    task, headline = task_of(recipe.task), evaluation.headline
    return TrainedModel(joined.model, info, recipe, task, question, fit, headline, sample, validation, test)


def _samples(
    training: Pipeline, manifest: Manifest, recipe: Recipe, question: Any, hidden: Collection[str]
) -> list[Sample]:
    task = task_of(recipe.task)
    labels, draw = partial(task.labels, question, manifest), partial(task.draw, question) if task.draw else None
    return contact_sheet.of_training(training, manifest, recipe, hidden, labels, draw)


def _explained(
    model: keras.Model, test: Answers, recipe: Recipe, question: Any, fit: Fit, hidden: Collection[str]
) -> list[ExampleImage]:
    task = task_of(recipe.task)

    def choose(examples: Examples) -> Sequence[Case]:
        return task.cases(question, examples, fit.decoder, recipe.evaluation.cases)

    def own(examples: Examples, cases: Sequence[Case], pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert task.gallery  # else a method explains
        return task.gallery(question, examples, fit.decoder, cases, pixels)

    method = recipe.evaluation.explain
    images, fields = test.inputs
    shown = test.telling_slice if test.bags.rule else None
    return explained(model, choose, test.examples, images, method, hidden, own if task.gallery else None, fields, shown)


def _describe_model(
    recipe: Recipe, manifest: Manifest, decoder: Any, kind: OutOfDistribution, training: Pipeline
) -> ModelInfo:
    card = card_of(registry.get(recipe.backbone.name), recipe.backbone.weights)
    return ModelInfo(
        decoder=decoder,
        size=recipe.data.size,
        channels=recipe.data.channels,
        recipe=recipe.name,
        source=manifest.source_name,
        seed=recipe.seed,
        synthetic=manifest.synthetic,
        kmedtl=kmedtl.__version__,
        window=recipe.data.window,
        pixel_offset=recipe.data.pixel_offset,
        aspect=recipe.data.reading.aspect,
        neighbours=recipe.data.neighbours,
        slices=training.pooling,
        views=training.views,
        out_of_distribution=kind,
        weights=config.to_dict(card) if card else {},
        fields=training.fields.encoding if training.fields else (),
        **hashes(recipe, manifest.table),
    )

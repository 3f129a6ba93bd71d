"""One run, from a recipe to a finished run folder. Read it from the top: it is the picture in docs/architecture.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import kmedtl
from kmedtl import config
from kmedtl import recipe as recipes
from kmedtl.audit import page
from kmedtl.audit.audit import Audit
from kmedtl.data import contact_sheet, splits
from kmedtl.data.manifest import SPLITS, Manifest
from kmedtl.data.pipeline import Pipeline, pipelines
from kmedtl.data.pseudonyms import hide_patients
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.out_of_distribution import OutOfDistribution
from kmedtl.edge.shapes import FEATURES
from kmedtl.ensemble.teacher import check_teacher
from kmedtl.errors import UserError
from kmedtl.explain.features import outputs_and_features
from kmedtl.explain.gallery import explained
from kmedtl.export.exporting import LabelledImages, TrainedModel, export
from kmedtl.export.provenance import hashes
from kmedtl.finetune import stages
from kmedtl.finetune.determinism import deterministic
from kmedtl.finetune.distribution import devices
from kmedtl.finetune.lr_range import RangeTest
from kmedtl.recipe import Evaluation, Export, Recipe, Search, Training
from kmedtl.runs import cross_validation, run_folder
from kmedtl.runs import result as results
from kmedtl.runs.cross_validation import CrossValidation
from kmedtl.runs.environment import Start, environment, now
from kmedtl.runs.prepare import Prepared, prepare_recipe, refuse
from kmedtl.runs.result import Result
from kmedtl.runs.tracking import log_result
from kmedtl.runs.train import build, check_network, plan_stages, train, training_job
from kmedtl.statistics.out_of_distribution import fit, fit_layout
from kmedtl.system.printable import shown
from kmedtl.system.text_tables import shortened
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Examples

KNOWN_IMAGES = 1000  # of training, that tell what kind of image the model knows
MOST_TOLD = 3  # classes of a split, counted on one line of a terminal


def run(
    recipe: Recipe, out: str | Path | None = None, log: Callable[[str], None] = print, resume: bool = False
) -> tuple[Result | CrossValidation, Path]:
    """Carry out a recipe; return what it found and the run folder.

    Args:
        out: the folder to make; None: a new one under `saved_models/`.
        log: receives what a person reads, a few lines at a time.
        resume: go on with a run that stopped or was killed, after its last epoch; without `out`: with the youngest one
            of the recipe. It ends with the predictions that it would have ended with.

    Raises:
        UserError: whatever the user can mend; nothing is left half-written.
    """
    start = Start(now(), resume)
    final = run_folder.choose(out, recipe.name, resume)
    with run_folder.building(final, resume, log) as folder, deterministic():
        log = run_folder.logged(log, folder)
        _begin(recipe, folder)
        data = _prepare(recipe)
        page.write(data.audit, data.store, data.manifest, data.table, folder)
        result: Result | CrossValidation
        if recipe.data.folds:
            result = _cross_validate(recipe, data, folder, log, start)
        else:
            table = splits.split(data.manifest, data.table, recipe.data.validation, recipe.data.test, recipe.seed)
            result, _ = _run_split(recipe, data, table, folder, log, start)
    return result, final


def _prepare(recipe: Recipe) -> Prepared:
    """Read, audit and decode the images, and refuse what would be trained in vain."""
    check_network(
        recipe
    )  # first of all, so that missing weights or a misspelt block are refused before hours of decoding
    if recipe.distill:
        check_teacher(recipe)
    data = prepare_recipe(recipe)
    refuse(data, recipe)
    if recipe.distill:
        check_teacher(recipe, data.question)
    return data


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
    table, parts = _divided(recipe, data, table)
    log(_describe(data.audit, data.manifest, parts))

    model, recipe, trained = train(recipe, question, parts, folder, log)

    pixels = {split: parts[split].pixels() for split in ("val", "test")}
    outputs = {split: outputs_and_features(model, images) for split, images in pixels.items()}
    examples = {split: _examples(parts[split], found, recipe) for split, found in outputs.items()}
    fitted = task.fit_decoder(question, recipe.evaluation, examples["val"], recipe.seed)  # validation chooses,
    evaluation = task.evaluate(question, recipe.evaluation, examples["test"], fitted, recipe.seed)  # the test judges

    known = parts["train"].sample(KNOWN_IMAGES, recipe.seed)
    features = outputs_and_features(model, known)[FEATURES]
    kind = replace(fit(features, outputs["val"][FEATURES]), layout=fit_layout(known, pixels["val"]))
    manifest = replace(data.manifest, table=table)
    info = _describe_model(recipe, manifest, fitted.decoder, kind)

    seen = [LabelledImages(pixels[split], examples[split]) for split in ("val", "test")]
    sample = lambda count: parts["train"].sample(count, recipe.seed)  # noqa: E731
    subject = TrainedModel(model, info, recipe, task, question, fitted, evaluation.headline, sample, *seen)
    parity = export(subject, folder, recipe.export.formats)
    hidden = data.audit.burned_in  # the text may be a name
    choose = lambda seen: task.cases(question, seen, fitted.decoder, recipe.evaluation.cases)  # noqa: E731
    tiles = explained(model, choose, examples["test"], pixels["test"], recipe.evaluation.explain, hidden)
    samples = contact_sheet.of_training(parts["train"], manifest, recipe, hidden)

    unlike = {split: kind.unlike(outputs[split][FEATURES], pixels[split]) for split in pixels}
    predictions = pd.concat(
        [
            _predictions(parts[split], examples[split], unlike[split], recipe, question, fitted.decoder)
            for split in pixels
        ],
        ignore_index=True,
    )
    result = Result(
        recipe, question, manifest, data.audit, trained, predictions, info, fitted, evaluation, parity, tuple(tiles),
        tuple(samples), environment(start), audit_page,
    )  # fmt: skip
    results.write(result, folder)
    log_result(recipe, folder, {name: estimate.value for name, estimate in evaluation.estimates.items()})
    return result, examples["test"]


def _divided(recipe: Recipe, data: Prepared, table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Pipeline]]:
    """Return the table of what is used, patients hidden, and a pipeline a split."""
    if recipe.data.train_limit:
        table = splits.limit_training(table, recipe.data.train_limit, recipe.seed)
    if not (recipe.data.keep_ids or data.manifest.synthetic):
        table = hide_patients(table)  # last, so that no choice depends on the salt
    task = task_of(recipe.task)
    targets = lambda part: task.targets(data.question, data.manifest, part)  # noqa: E731
    return table, pipelines(data.store, table, recipe.data.batch_size, targets, task.moves)


def _examples(part: Pipeline, outputs: Mapping[str, np.ndarray], recipe: Recipe) -> Examples:
    ids, patients = (part.table[name].to_numpy(object) for name in ("id", "patient"))
    return Examples(ids, patients, part.targets, outputs, part.table[list(recipe.evaluation.groups)])


def _predictions(
    part: Pipeline, examples: Examples, unlike: np.ndarray, recipe: Recipe, question: Any, decoder: Any
) -> pd.DataFrame:
    """Return a row an image: who it is of, truth, outputs and answers, groups, and whether it is of another kind."""
    known = part.table[["id", "patient", "split"]].reset_index(drop=True)
    told = task_of(recipe.task).table(question, examples, decoder)
    groups = examples.groups.reset_index(drop=True)
    return pd.concat([known, told, groups], axis=1).assign(unlike_training=unlike.astype(int))


def _begin(recipe: Recipe, folder: Path) -> None:
    """Write the recipe; where the folder has one already, see that it is the same up to stages and what follows them.

    Raises:
        UserError: the run began with other settings.
    """
    path = folder / "recipe.yaml"
    if path.is_file():
        began = recipes.read(path)
        changed = config.differences(_unchangeable(began), _unchangeable(recipe))
        if changed:
            name, (before, now) = next(iter(changed.items()))
            raise UserError(
                f"--resume: the run began with {name}={before}. Received: {now}; give the same settings, or leave "
                "--resume out."
            )
    recipes.write(recipe, path)


def _unchangeable(recipe: Recipe) -> Recipe:
    """Return the settings that must be unchanged when a run is resumed; stages are compared separately."""
    anywhere = {name: getattr(Training(), name) for name in ("cache_gigabytes", "tensorboard", "mlflow")}
    return replace(
        recipe,
        stages=(),
        schedule="untrained",
        soup=(),
        search=Search(),
        training=replace(recipe.training, **anywhere),
        evaluation=Evaluation(),
        export=Export(),
    )


def find_rate(recipe: Recipe, number: int, log: Callable[[str], None] = print) -> RangeTest:
    """Train the stages before `number`, and return its range test.

    Raises:
        UserError: no such stage, or what `run` refuses.
    """
    data = _prepare(recipe)
    table = splits.split(data.manifest, data.table, recipe.data.validation, recipe.data.test, recipe.seed)
    _, parts = _divided(recipe, data, table)
    with deterministic(), devices(recipe.training):
        job = training_job(recipe, *build(recipe, data.question), parts, data.question, log)
        planned = plan_stages(recipe, len(parts["train"].table), job.blocks, log)
        if not 0 <= number < len(planned):
            raise UserError(f"--stage: expected 0 to {len(planned) - 1}. Received: {number}.")
        return stages.find_rate(job, planned[: number + 1])


def _describe(audit: Audit, manifest: Manifest, data: dict[str, Pipeline]) -> str:
    lines = [f"Data: {audit.source}, {audit.used} of {audit.listed + audit.set_aside} images"]
    lines += [results.SYNTHETIC] if audit.synthetic else []
    for split in SPLITS:
        table = data[split].table
        told = [f"{rows.sum()} {shortened(name, 28)}" for name, rows in manifest.members(table).items()]
        more = f" and {len(told) - MOST_TOLD} more classes" if len(told) > MOST_TOLD else ""
        counts = f": {', '.join(told[:MOST_TOLD])}{more}" if told else ""
        lines.append(f"  {split:<5} {table['patient'].nunique():>5} patients, {len(table):>5} images{counts}")
    return "\n".join(map(shown, lines + [f"  Note: {warning}" for warning in audit.warnings]))


def _describe_model(recipe: Recipe, manifest: Manifest, decoder: Any, kind: OutOfDistribution) -> ModelInfo:
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
        out_of_distribution=kind,
        **hashes(recipe, manifest.table),
    )

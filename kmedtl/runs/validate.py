"""A finished run judged on images of another source, by the operating point that it has: external validation.

Nothing is fitted or chosen. Reported as TRIPOD+AI asks (Collins et al., BMJ 2024, items 12 and 23): discrimination,
calibration, who was judged, and how far they differ from those of the development.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.data import splits
from kmedtl.data.manifest import Manifest
from kmedtl.data.pipeline import Pipeline
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.data.tabular import field_input
from kmedtl.edge import model_info
from kmedtl.edge.shapes import FEATURES, check_fits
from kmedtl.edge.tasks.task import of_batches
from kmedtl.ensemble.members import trained_on
from kmedtl.errors import UserError, nearest
from kmedtl.explain.overlay import jpeg
from kmedtl.export.runtimes import open_runtime
from kmedtl.recipe import Recipe, Update
from kmedtl.runs.prepare import Prepared, prepare_images
from kmedtl.runs.reopen import FinishedRun
from kmedtl.statistics.confidence import Estimate, wilson
from kmedtl.statistics.difference import difference
from kmedtl.statistics.groups import check_columns
from kmedtl.system.progress import progress
from kmedtl.tasks.saved_run import SavedRun
from kmedtl.tasks.task import Examples

FEWEST = 10  # images of a group that is judged by itself
SHOWN = 12  # images on the page
TRUTHS = ("label", "grade")  # columns of predictions.csv that hold the one class or grade of an image
UNLIKE = "unlike_training"  # the share of images of another kind than those of training


@dataclass(frozen=True)
class Figure:
    """A figure of the run's own test and of the other source, and the second minus the first."""

    own: Estimate
    here: Estimate
    difference: Estimate


@dataclass(frozen=True)
class Group:
    """The images with one value of a column.

    Attributes:
        headline: their headline figure; NaN where a class is missing among them.
    """

    column: str
    value: str
    images: int
    patients: int
    headline: Estimate


@dataclass(frozen=True)
class Shown:
    """An image on the page: its id, JPEG, why it is there, and a caption."""

    id: str
    image: bytes
    why: str
    caption: str


@dataclass(frozen=True)
class Validation:
    """What a run is worth on another source.

    Attributes:
        source: its name, without where it lies.
        headline: the figure by which runs are compared.
        images, patients: how many were judged.
        figures: the task's figures, those of calibration, and `unlike_training`.
        shares: class or grade → its share among the images; none where there are none.
        groups: figures by the values of columns.
        worst: images that the run answered wrongly, or nearly so.
        table: a row an image, as predictions.csv.
        notes: what the audit says of the source.
        synthetic: no image is of a patient.
        units: of the figures that have one.
    """

    source: str
    headline: str
    images: int
    patients: int
    figures: dict[str, Figure]
    shares: dict[str, Figure]
    groups: tuple[Group, ...]
    worst: tuple[Shown, ...]
    table: pd.DataFrame
    notes: tuple[str, ...]
    synthetic: bool
    units: Mapping[str, str] = field(default_factory=dict)


def validate(
    run: FinishedRun,
    source: str,
    settings: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    groups: Sequence[str] = (),
    limit: int | None = None,
    same_patients: bool = True,
    asked: Collection[str] = (),
) -> Validation:
    """Judge a run, or a file of it, on every image of another source.

    Args:
        source: as of `Data.source`.
        settings: changes how the source is read, from the run's own way.
        groups: columns to judge by; none: the run's, as far as the source has them.
        limit: about so many images, whole patients.
        same_patients: patients of the same name in both sources are the same.
        asked: names of figures that must be there.

    Raises:
        UserError: a source that cannot be read or answers another question, a figure that is not there, and patients
            whom the run was trained on; before images are decoded, unless a limit leaves most of them out.
    """
    there = _of_own_test(run)
    for name in asked:
        if name not in there:
            raise UserError(f"--at-least {name}: no such figure. {nearest(name, there)}")
    early = same_patients and not limit
    prepared = _prepared(run, settings(recipe_for(run, source)), early)
    table = splits.limit(prepared.table, limit, run.recipe.seed) if limit else prepared.table
    if same_patients and not early:
        _refuse_seen(run, source, table)
    known = groups or [name for name in run.recipe.evaluation.groups if name in table]
    check_columns(table, known)
    part = _pipeline(run, prepared, table)
    examples, unlike = _answered(run, part, [*known, *run.task.columns])
    told, figures = _table(run, part, examples, unlike), _figures(run, examples, unlike, there)
    return Validation(
        source=prepared.manifest.source_name,
        headline=next(iter(figures)),
        images=len(examples.ids),
        patients=len(set(examples.patients)),
        figures=figures,
        shares=_shares(run, told),
        groups=tuple(_groups(run, examples, known)),
        worst=tuple(_worst(run, part, examples, prepared.audit.burned_in)),
        table=told,
        notes=prepared.audit.warnings,
        synthetic=prepared.manifest.synthetic,
        units=run.task.units(run.question),
    )


def _of_own_test(run: FinishedRun) -> dict[str, Estimate]:
    """Return every figure of the test of the run's own model, by its decoder."""
    own, mine = run.examples("test"), run.predictions[run.predictions["split"] == "test"]
    return _estimates(run, own, model_info.read(run.folder).decoder, mine[UNLIKE].to_numpy() == 1)


def _figures(
    run: FinishedRun, examples: Examples, unlike: np.ndarray | None, there: Mapping[str, Estimate]
) -> dict[str, Figure]:
    """Return every figure here beside that of the run's own test."""
    here = _estimates(run, examples, run.info.decoder, unlike)
    return {name: _figure(found, there[name]) for name, found in here.items() if name in there}


def _estimates(run: FinishedRun, examples: Examples, decoder: Any, unlike: np.ndarray | None) -> dict[str, Estimate]:
    settings = run.recipe.evaluation
    found = run.task.figures(run.question, settings, examples, decoder).estimates
    calibration = run.task.calibration(settings, examples, decoder, run.recipe.seed)
    share = {} if unlike is None else {UNLIKE: wilson(unlike, examples.patients)}
    return {**found, **calibration, **share}


def _table(run: FinishedRun, part: Pipeline, examples: Examples, unlike: np.ndarray | None) -> pd.DataFrame:
    """Return a row an image or volume, with the columns of predictions.csv."""
    images = part.bags.table(part.table)[["id", "patient"]].reset_index(drop=True)
    answers = run.task.table(run.question, examples, run.info.decoder).reset_index(drop=True)
    told = pd.concat([images, answers, examples.groups.reset_index(drop=True)], axis=1)
    return told if unlike is None else told.assign(**{UNLIKE: unlike.astype(int)})


def _figure(here: Estimate, own: Estimate) -> Figure:
    return Figure(own, here, difference(here, own))


def recipe_for(run: SavedRun, source: str) -> Recipe:
    """Return the recipe that reads another source as the run read its own."""
    classes = _classes_of(run) or run.recipe.data.classes
    data = replace(run.recipe.data, source=source, labels="", classes=classes, limit=None, train_limit=None, folds=0)
    return replace(run.recipe, data=data, update=Update())


def _classes_of(run: SavedRun) -> tuple[str, ...]:
    return tuple(getattr(run.question, "classes", ()) or getattr(run.question, "grades", ()))


def _prepared(run: FinishedRun, recipe: Recipe, same_patients: bool) -> Prepared:
    """Return the source's images with what is known of them, as the run understood its question.

    Raises:
        UserError: none that can be read, other classes than the run's, or patients whom it was trained on.
    """

    def check(question: Any, manifest: Manifest) -> None:
        expected, found = _classes_of(run), tuple(getattr(question, "classes", ()))
        if expected and found and expected != found:
            raise UserError(
                f"{recipe.data.source}: expected the classes that {run.folder} knows: {', '.join(expected)}. Received: "
                f"{', '.join(found)}; rename them, or give --labels, or --set data.columns."
            )
        if same_patients:
            _refuse_seen(run, recipe.data.source, manifest.table)

    prepared = prepare_images(recipe, check)
    if not len(prepared.table):
        raise UserError(f"{recipe.data.source}: none of its images could be read; see `kmedtl audit`.")
    question = run.task.again(run.question, prepared.question)
    known = run.task.targets(question, recipe.data, prepared.manifest, prepared.table)
    audited = replace(prepared.audit, warnings=(*prepared.audit.warnings, *known.notes))
    return replace(prepared, audit=audited, targets=known, question=question)


def _refuse_seen(run: FinishedRun, source: str, table: pd.DataFrame) -> None:
    """Refuse patients whom the run was trained on, or that validation chose its decoder by."""
    chosen_by = run.predictions.loc[run.predictions["split"] == "val", "patient"].unique()
    known = trained_on(run.folder) | set(map(pseudonym, chosen_by))
    if seen := sorted(known.intersection(map(pseudonym, table["patient"].unique()))):
        first = table.loc[table["patient"].map(pseudonym) == seen[0], "id"].iloc[0]
        raise UserError(
            f"{source}: {len(seen)} of its patients taught or tuned {run.folder}, first: {seen[0]}, of {first}; that "
            "would measure memory. Leave them out, or say --other-patients if the names mean other people there."
        )


def _pipeline(run: FinishedRun, prepared: Prepared, table: pd.DataFrame) -> Pipeline:
    table = table.assign(split="test").sort_values("record", ignore_index=True)
    assert prepared.targets is not None  # known since `_prepared`
    fields = field_input(run.info.fields, table) if run.info.fields else None
    batch = run.recipe.data.batch_size
    targets, info = prepared.targets.of(table), run.info
    return Pipeline(prepared.store, table, targets, batch, fields=fields, pooling=info.slices, views=info.views)


def _answered(run: FinishedRun, part: Pipeline, columns: Sequence[str]) -> tuple[Examples, np.ndarray | None]:
    """Return what the model puts out for the images, and which are of another kind, bool (N,); None: nothing tells."""
    runtime, kind = open_runtime(run.model), run.info.out_of_distribution
    check_fits(run.model, runtime.shapes, run.info)
    found, unlike = [], []
    for pixels, beside in progress(_batches(part), f"Asking {run.model.name}", total=part.steps, unit="batch"):
        outputs = dict(runtime(pixels, beside))
        features = outputs.pop(FEATURES, None)
        found.append(outputs)
        if kind is not None and features is not None:
            unlike.append(kind.unlike(features, pixels))
    bags = part.bags
    table = bags.table(part.table)
    ids, patients = (table[name].to_numpy(object) for name in ("id", "patient"))
    groups = table[list(dict.fromkeys(columns))]
    examples = Examples(ids, patients, bags.known(part.targets), bags.outputs(of_batches(found)), groups)
    return examples, bags.most(np.concatenate(unlike)) if unlike else None


def _batches(part: Pipeline) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield uint8 images (n, H, W, C) and what is known beside them, batch by batch."""
    for batch in part.images().as_numpy_iterator():
        pixels, beside = batch if isinstance(batch, tuple) else (batch, None)
        yield pixels.astype(np.uint8), beside


def _shares(run: FinishedRun, told: pd.DataFrame) -> dict[str, Figure]:
    """Return how frequent each class or grade is here and was in the run's test, where an image has one."""
    own = run.predictions[run.predictions["split"] == "test"]
    column = next((name for name in TRUTHS if name in told and name in own), None)
    if column is None:
        return {}
    here, there = ((table[column].astype(str), table["patient"].to_numpy()) for table in (told, own))
    names = [name for name in _classes_of(run) if name in {*here[0], *there[0]}]
    return {
        name: _figure(*(wilson((labels == name).to_numpy(), who) for labels, who in (here, there))) for name in names
    }


def _groups(run: FinishedRun, examples: Examples, columns: Sequence[str]) -> Iterator[Group]:
    """Yield the headline figure of the images with each value of the columns, where they are not too few."""
    for column in columns:
        values = examples.groups[column].astype(str).to_numpy()
        for value in sorted(set(values) - {""}):
            some = examples.of(np.flatnonzero(values == value))
            if len(some.ids) >= FEWEST:
                figures = run.task.figures(run.question, run.recipe.evaluation, some, run.info.decoder)
                patients = len(set(some.patients))
                yield Group(column, value, len(some.ids), patients, figures.estimates[figures.headline])


def _worst(run: FinishedRun, part: Pipeline, examples: Examples, hidden: Collection[str]) -> Iterator[Shown]:
    """Yield the images that a report would explain, those with text burned in left out: it may be a name."""
    task, question, decoder = run.task, run.question, run.info.decoder
    visible = np.flatnonzero(~np.isin(examples.ids, list(hidden)))
    seen = examples.of(visible)
    cases = task.cases(question, seen, decoder, SHOWN)
    if not cases:
        return
    rows = [case.row for case in cases]
    pixels = _pixels(part, part.bags.middle[visible[rows]])
    pictures = task.gallery(question, seen, decoder, cases, pixels)[0] if task.gallery else pixels
    for case, picture in zip(cases, pictures, strict=True):
        yield Shown(str(seen.ids[case.row]), jpeg(picture), case.why, case.caption)


def _pixels(part: Pipeline, rows: np.ndarray) -> np.ndarray:
    """Return some images, uint8 (n, H, W, C), in the order of `rows`, in which one may be several times."""
    some, order = np.unique(rows, return_inverse=True)
    return part.of(some).pixels()[order]

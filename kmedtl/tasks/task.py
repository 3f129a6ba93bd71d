"""What is asked of an image, a row a task: plain functions from settings to targets, outputs, figures and sections.

Everything outside `tasks/` and `edge/tasks/` asks the row and never which task it is. Imports neither Keras nor
TensorFlow: what needs them is in `Network`, which a row imports when it is asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from kmedtl.data.manifest import Manifest
from kmedtl.edge.tasks.task import EdgeTask, Outputs
from kmedtl.statistics.confidence import Estimate

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from kmedtl.recipe import Recipe

Targets = Mapping[str, np.ndarray]  # by the output that they are for: float32, or uint8 of masks; a row an image
Scores = dict[str, float]
Arrays = Mapping[str, np.ndarray]  # of predictions.npz, a row an image in the order of predictions.csv


@dataclass(frozen=True)
class Examples:
    """N images, what is known of them, and what a model put out for them.

    Attributes:
        ids, patients: (N,) text.
        targets, outputs: by the name of the output, (N, …).
        groups: a row an image: the columns that images are grouped by, and `Task.columns`.
    """

    ids: np.ndarray
    patients: np.ndarray
    targets: Targets
    outputs: Outputs
    groups: pd.DataFrame

    def of(self, rows: np.ndarray) -> Examples:
        """Return some of the images."""
        targets, outputs = (
            {name: array[rows] for name, array in part.items()} for part in (self.targets, self.outputs)
        )
        return Examples(self.ids[rows], self.patients[rows], targets, outputs, self.groups.iloc[rows])

    def shifted(self, by: Outputs) -> Examples:
        """Return the images with something added to some of their outputs, by name (N, …)."""
        return replace(
            self, outputs={**self.outputs, **{name: self.outputs[name] + added for name, added in by.items()}}
        )

    def in_order_of(self, ids: Iterable[str]) -> Examples:
        """Return the images of these ids, in their order.

        Raises:
            KeyError: an id that no image has.
        """
        place = {name: row for row, name in enumerate(self.ids)}
        return self.of(np.array([place[name] for name in ids], int))


@dataclass(frozen=True)
class KnownTargets:
    """What is known of the images.

    Attributes:
        of: part of the manifest's table → targets of its images, by output.
        notes: what the audit says of them.
        strata: of each image of the table, what splits are balanced by; None: what the manifest says.
        question: Q, where the images say more of it than could be known before they were decoded; None: as it was.
    """

    of: Callable[[pd.DataFrame], Targets]
    notes: tuple[str, ...] = ()
    strata: np.ndarray | None = None
    question: Any = None


@dataclass(frozen=True)
class Fit:
    """What validation chose.

    Attributes:
        decoder: a document that the model file carries, of `EdgeTask.decoder`.
        details: how it was chosen, as the task's own report tells it.
    """

    decoder: Any
    details: Any = None


@dataclass(frozen=True)
class Evaluation:
    """What the test says, one shape for every task.

    Attributes:
        headline: the figure by which runs are compared, a name of `estimates`.
        estimates: name → figure with its 95 % interval by patient, in the order of a report.
        by: finding, structure or head → its own figures.
        tables: name → table.
        images, patients: how many were judged.
        details: what the task's own report tells besides.
    """

    headline: str
    estimates: dict[str, Estimate]
    by: dict[str, dict[str, Estimate]]
    tables: dict[str, pd.DataFrame]
    images: int
    patients: int
    details: Any = None


@dataclass(frozen=True)
class SoftAnswers:
    """How a task's outputs become probabilities that can be learned in place of targets, of the same shape.

    Attributes:
        probabilities: (question, outputs as tensors) → by output, float32 (N, …) in 0–1.
        sharpened: (question, such probabilities, temperature) → likewise, each to the power 1 / temperature beside its
            alternatives, so that all of them sum to 1 again; below 1 the likelier ones gain.
    """

    probabilities: Callable[..., dict[str, Any]]
    sharpened: Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Network:
    """What a task adds to the Keras graph.

    Attributes:
        outputs: (question, `kmedtl.heads.build.Features`, scope) → the model's outputs by name, float32; the names of
            their layers begin with the scope, "" by default.
        losses: (question, stage, training, distilled, targets of the training images or None) → a loss for each output;
            without a stage the plain ones.
        decode: (outputs as tensors, decoder) → what a SavedModel answers besides its outputs.
        closed_form: schedule → (model, schedule, data, seed, log) → model: heads that no gradient trains.
        soft: what images without targets can teach; None: nothing.
    """

    outputs: Callable[..., dict[str, Any]]
    losses: Callable[..., dict[str, Any]]
    decode: Callable[..., dict[str, Any]]
    closed_form: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    soft: SoftAnswers | None = None


@dataclass(frozen=True)
class Drift:
    """How answers differ from those that they are measured by.

    Attributes:
        value, loss: the headline figure after, and by how much it was higher before, with its interval.
        figures: what else differs: name → value, 0 being no difference; `mean_difference` and `max_difference` are
            there for every task, in a measure that gates can bound (probabilities, or standard deviations).
    """

    value: float
    loss: Estimate
    figures: Scores


@dataclass(frozen=True)
class TableSettings:
    """How a table of predictions, of whatever model, is judged.

    Attributes:
        split: rows that count, where there is a column `split`; empty: all.
        threshold: a finding is called from this probability on; None: a run's own operating point, else 0.5.
        finding: of two names under `label`, what is looked for.
        ordered: classes are grades, in order.
        groups: columns to judge by.
        manifest: a table with further columns, joined by `id`.
    """

    split: str = "test"
    threshold: float | None = None
    finding: str = ""
    ordered: bool = False
    groups: tuple[str, ...] = ()
    manifest: Path | None = None


@dataclass(frozen=True)
class TableEvaluation:
    """What a table of predictions says.

    Attributes:
        figures: has `estimates`: name → `Estimate`.
        images, patients: how many were judged.
        document: what metrics.json holds beside the task.
        lines: what the terminal shows.
    """

    figures: Any
    images: int
    patients: int
    document: dict[str, Any]
    lines: Sequence[str]


@dataclass(frozen=True)
class Case:
    """An image to be shown: its row, the output and column that a map explains, why it was chosen, and its caption."""

    row: int
    output: str
    column: int
    why: str
    caption: str


@dataclass(frozen=True)
class Picture:
    """A figure, and the same in words for who cannot see it."""

    figure: Figure
    words: str
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report: its anchor, its heading, and the template that shows it and those after it without one."""

    anchor: str
    title: str
    template: str = ""


@dataclass(frozen=True)
class ReportParts:
    """What a task adds to the page of a run.

    Attributes:
        templates: the folder of its templates.
        summary, card: templates of the summary's section and of the model card.
        sections: what follows the training.
        pictures: by name.
        context: what the templates read beside `report`.
        maps: what the maps of the explained images show, where `Task.gallery` made them.
        of_tasks: where several tasks are answered: (name, what was found of it as a `Result`, what it adds) of each.
    """

    templates: Path
    summary: str
    card: str
    sections: tuple[Section, ...]
    pictures: dict[str, Picture]
    context: dict[str, Any]
    maps: str = ""
    of_tasks: tuple[tuple[str, Any, ReportParts], ...] = ()


@dataclass(frozen=True)
class Apart:
    """One of several tasks by itself.

    Attributes:
        recipe: that asks it alone.
        question: its own.
        known: from the targets of all tasks to the rows of the images of which it knows something, and its own targets.
        examples: from examples of all tasks to those images, as it sees them.
        decoder: from what validation chose for all tasks to its decoder.
    """

    recipe: Recipe
    question: Any
    known: Callable[[Targets], tuple[np.ndarray, Targets]]
    examples: Callable[[Examples], Examples]
    decoder: Callable[[Fit], Any]


@dataclass(frozen=True)
class Vote:
    """How several models answer as one.

    Attributes:
        methods: name → what it does, in words.
        fit: (question, method, members' examples, their decoders, rows of validation, seed) → outputs of all images
            together, and how much each member counts.
        combine: (question, method, weights, members' outputs, their decoders) → outputs together.
        teach: (question, outputs, decoder, temperature) → what a student learns beside the targets, by output; None:
            the task's answers cannot be taught.
    """

    methods: Mapping[str, str]
    fit: Callable[..., tuple[Outputs, tuple[float, ...]]]
    combine: Callable[..., Outputs]
    teach: Callable[..., Targets] | None = None


@dataclass(frozen=True)
class Task:
    """A row of `kmedtl.tasks.TASKS`. Q is the question: the settings of the recipe as the data answer them.

    Attributes:
        edge: the NumPy half: decoder, decode.
        needs_classes: a source must have labels; otherwise images without any are taken.
        ask: (settings, the recipe's data settings, manifest) → Q, and the manifest of the images that can be used;
            refuses what the data cannot answer.
        targets: (Q, data settings, manifest, table of readable images) → `KnownTargets` of them.
        check: (Q, split → its targets) → nothing; refuses splits that cannot be learned from or judged by.
        labels: (Q, manifest, part of the table) → what is true of each image, in words.
        network: → what needs Keras, imported then.
        score: (Q, outputs, targets) → figures of validation, the headline first.
        better: figure of `score` → `max` or `min`.
        select: (Q, training, outputs, targets) → what the best epoch has most of, as `training.select` says.
        fit_decoder: (Q, evaluation settings, validation, seed, decoder or None) → `Fit`; with a decoder by the method
            that it was fitted by, and with its thresholds unless others are clearly better.
        evaluate: (Q, evaluation settings, test, fit, seed) → `Evaluation`.
        figures: (Q, evaluation settings, examples, decoder) → `Evaluation` without details that take long.
        pool: (Q, evaluation settings, examples and decoder of each fold) → `Evaluation` of all, and the columns of
            their table, comparable between folds.
        brief: names of figures that short tables show, as far as there are.
        chance: the headline figure of a model that knows nothing.
        document: (fit, evaluation) → what metrics.json holds.
        lines: (evaluation settings, fit, evaluation) → what the terminal shows.
        table: (Q, examples, decoder) → columns of predictions.csv: truth, outputs, answers.
        arrays: (Q, examples) → what predictions.npz keeps beside that table, a row an image; {} where a table can hold
            all.
        read: (Q, table of `table` whose index points into the arrays, arrays) → targets and outputs.
        evaluate_table: (path of a CSV, metrics.json of the run that wrote it or {}, `TableSettings`) →
            `TableEvaluation`.
        question: decoder → Q, as far as a finished run needs it.
        drift: (Q, before, its decoder, outputs after, their decoder) → `Drift`.
        drift_titles: figure of `drift` → its heading.
        gain: (Q, ours, several of theirs, the decoder of ours, that of theirs) → the headline of ours minus the mean
            of theirs, paired by image; all of the same images, in any order.
        plain: Q → the decoder of outputs as they are, such as pooled ones.
        again: (Q of a finished run, Q as another source answers it) → Q by which the run is judged there.
        goes_on: (Q of a finished run, Q as its images and new ones answer it) → Q by which its network learns on.
        calibration: (evaluation settings, examples, decoder, seed) → figures of how far probabilities are right; {}
            where there are none.
        beside: the figure that a comparison shows beside the headline.
        right: (Q, examples, decoder) → which answers are right, bool (N,); None where none is right or wrong.
        cases: (Q, examples, decoder, count) → images that the report explains.
        gallery: (Q, examples, decoder, cases, their pixels) → pictures uint8 (cases, H, W, 3) that show the answers,
            and maps (cases, H, W) in 0–1 that explain them, NaN where a method of `kmedtl.explain` is to; None: images
            as they are, and such maps.
        curves: evaluation → pictures of it.
        report: (result) → what the page of a run shows of the task.
        draw: (Q, images uint8 (N, H, W, C), targets) → the images with what is true of them drawn in; None: they show
            nothing of it.
        vote: how models answer as one; None: they cannot.
        moves: output → `mask` or `boxes`: targets that augmentation moves with the image, see `kmedtl.data.pipeline`.
        columns: of the manifest that figures need besides the groups.
        check_validation: (Q, evaluation settings, targets and patients of validation) → nothing; refuses one by which
            the settings cannot be kept, whatever is learned.
        apart: (recipe, Q) → of several tasks: name → `Apart`; {} of one, or where they are not to be asked alone.
        wrote: names of a table's columns → whether a run of this task wrote them, as nothing else would.
        units: Q → figure → its unit, or up to which distance it is measured; of those that have one.
    """

    edge: EdgeTask
    needs_classes: bool
    ask: Callable[..., tuple[Any, Manifest]]
    targets: Callable[..., KnownTargets]
    labels: Callable[..., Sequence[str]]
    network: Callable[[], Network]
    score: Callable[..., Scores]
    better: Mapping[str, str]
    select: Callable[..., float]
    fit_decoder: Callable[..., Fit]
    evaluate: Callable[..., Evaluation]
    figures: Callable[..., Evaluation]
    pool: Callable[..., tuple[Evaluation, pd.DataFrame]]
    brief: tuple[str, ...]
    chance: float
    document: Callable[..., dict[str, Any]]
    lines: Callable[..., Sequence[str]]
    table: Callable[..., pd.DataFrame]
    read: Callable[..., tuple[Targets, Outputs]]
    evaluate_table: Callable[..., TableEvaluation]
    question: Callable[[Any], Any]
    drift: Callable[..., Drift]
    drift_titles: Mapping[str, str]
    gain: Callable[..., Estimate]
    plain: Callable[[Any], Any]
    beside: str
    right: Callable[..., np.ndarray | None]
    cases: Callable[..., Sequence[Case]]
    curves: Callable[[Evaluation], dict[str, Picture]]
    report: Callable[..., ReportParts]
    check: Callable[[Any, Mapping[str, Targets]], None] = lambda question, targets: None
    arrays: Callable[..., dict[str, np.ndarray]] = lambda question, examples: {}
    gallery: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None
    draw: Callable[..., np.ndarray] | None = None
    vote: Vote | None = None
    moves: Mapping[str, Literal["mask", "boxes"]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    check_validation: Callable[..., None] = lambda question, settings, targets, patients: None
    apart: Callable[..., Mapping[str, Apart]] = lambda recipe, question: {}
    wrote: Callable[[Sequence[str]], bool] = lambda columns: False
    units: Callable[[Any], Mapping[str, str]] = lambda question: {}
    again: Callable[[Any, Any], Any] = lambda question, here: question
    goes_on: Callable[[Any, Any], Any] = lambda question, here: here
    calibration: Callable[..., dict[str, Estimate]] = lambda settings, examples, decoder, seed: {}

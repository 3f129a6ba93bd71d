"""What several tasks ask of the same images, and what is known of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd

from kmedtl.data.manifest import Manifest
from kmedtl.edge.tasks.multi import MultiDecoder
from kmedtl.errors import UserError
from kmedtl.recipe import Data, Evaluation, Multi, Recipe, Stage
from kmedtl.tasks.multi.parts import Tasks, known_targets, known_to, merged, spread
from kmedtl.tasks.task import Apart, Examples, Fit, KnownTargets, Targets


@dataclass(frozen=True)
class MultiQuestion:
    """The question of each task, by its name.

    Attributes:
        weights: of their losses; 1 where nothing is said.
        weighting: of `recipe.Multi`.
        manifests: the images that can answer each, as it was asked; none where a finished run is opened.
    """

    tasks: Mapping[str, Any]
    weights: Mapping[str, float] = field(default_factory=dict)
    weighting: str = "fixed"
    manifests: Mapping[str, Manifest] = field(default_factory=dict, compare=False, repr=False)


def ask(tasks: Tasks, settings: Multi, data: Data, manifest: Manifest) -> tuple[MultiQuestion, Manifest]:
    """Return the questions, and the images that can answer one of them or more.

    Raises:
        UserError: a task that no image can answer.
    """
    found = {}
    for name, task in tasks.items():
        with _naming(name):
            found[name] = task.ask(settings.tasks[name], data, manifest)
    manifests = {name: own for name, (_, own) in found.items()}
    questions = {name: asked for name, (asked, _) in found.items()}
    question = MultiQuestion(questions, settings.weights, settings.weighting, manifests)
    ids = {image for own in manifests.values() for image in own.table["id"]}
    kept = manifest.table[manifest.table["id"].isin(ids)].reset_index(drop=True)
    if any(own.classes for own in manifests.values()):
        return question, replace(manifest, table=kept)
    plain = kept.drop(columns=["label", *manifest.classes], errors="ignore").assign(stratum=0)
    unanswered = manifest.unlabelled + len(manifest.table) - len(kept)
    return question, replace(manifest, table=plain, classes=(), multi_label=True, unlabelled=unanswered)


def targets(tasks: Tasks, question: MultiQuestion, data: Data, manifest: Manifest, table: pd.DataFrame) -> KnownTargets:
    """Return what gives the targets of all tasks, and of images that cannot answer one, that nobody knows them.

    Splits are balanced by what each task balances them by, all together.
    """
    known, tables, asked, notes, strata = {}, {}, {}, [], []
    for name, task in tasks.items():
        own = question.manifests[name]
        rows = own.table[own.table["id"].isin(table["id"])]
        new = table[["id", *(column for column in table if column not in rows)]]
        rows = rows.merge(new, on="id").reset_index(drop=True)
        with _naming(name):
            found = task.targets(question.tasks[name], data, own, rows)
        known[name], tables[name] = found.of, rows.set_index("id", drop=False)
        asked[name] = found.question or question.tasks[name]
        notes += [f"{name}: {note}" for note in found.notes]
        balanced = rows["stratum"] if found.strata is None else found.strata
        strata.append(pd.Series(np.asarray(balanced), rows["id"]).reindex(table["id"], fill_value=-1).to_numpy())
    combined = pd.factorize(pd.MultiIndex.from_arrays(strata))[0]
    return KnownTargets(_of(known, tables), tuple(notes), combined, replace(question, tasks=asked))


def _of(
    known: Mapping[str, Callable[[pd.DataFrame], Targets]], tables: Mapping[str, pd.DataFrame]
) -> Callable[[pd.DataFrame], Targets]:
    def of(part: pd.DataFrame) -> Targets:
        found = {}
        for name, own in tables.items():
            rows = np.flatnonzero(part["id"].isin(own.index))
            answers = known[name](own.loc[part["id"].iloc[rows]].reset_index(drop=True))
            found[name] = spread(answers, rows, len(part))
        return merged(found)

    return of


def apart(tasks: Tasks, recipe: Recipe, question: MultiQuestion) -> dict[str, Apart]:
    """Return each task by itself: its recipe has the head and settings of stages that suit it."""
    together, asked = cast(Multi, recipe.task), {}
    for name, settings in together.tasks.items() if together.alone else ():
        head = recipe.head if settings.needs == recipe.head.gives else replace(recipe.head, kind="linear")
        plain: dict[str, Any] = {idle: Stage.__dataclass_fields__[idle].default for idle in settings.idle}
        stages = tuple(replace(stage, **plain) for stage in recipe.stages)
        asked[name] = Apart(
            recipe=replace(recipe, task=settings, head=head, stages=stages),
            question=question.tasks[name],
            known=partial(known_targets, name),
            examples=partial(_as_seen_by, name),
            decoder=partial(_decoder_of, name),
        )
    return asked


def _as_seen_by(name: str, examples: Examples) -> Examples:
    return known_to(name, examples)[1]


def _decoder_of(name: str, fit: Fit) -> Any:
    return fit.decoder.tasks[name]


def check(tasks: Tasks, question: MultiQuestion, targets: Mapping[str, Targets]) -> None:
    """Refuse splits in which a task has nothing to learn from, choose by or be judged by.

    Raises:
        UserError: the first such task and split.
    """
    for name, task in tasks.items():
        parts = {split: known_targets(name, known)[1] for split, known in targets.items()}
        for split, part in parts.items():
            if not all(map(len, part.values())):
                raise UserError(
                    f"task {name}: the split '{split}' has no image with an answer; take more images or another seed, "
                    "or leave the task out."
                )
        with _naming(name):
            task.check(question.tasks[name], parts)


def check_validation(
    tasks: Tasks, question: MultiQuestion, settings: Evaluation, validation: Targets, patients: np.ndarray
) -> None:
    """Refuse a validation by which a task cannot choose what is asked of it.

    Raises:
        UserError: the first such task.
    """
    for name, task in tasks.items():
        rows, own = known_targets(name, validation)
        with _naming(name):
            task.check_validation(question.tasks[name], settings, own, patients[rows])


def labels(tasks: Tasks, question: MultiQuestion, manifest: Manifest, table: pd.DataFrame) -> Sequence[str]:
    """Return what each task knows of the images, one after another."""
    told: list[list[str]] = [[] for _ in range(len(table))]
    for name, task in tasks.items():
        own = question.manifests[name].table.set_index("id", drop=False)
        rows = np.flatnonzero(table["id"].isin(own.index))
        answers = task.labels(
            question.tasks[name], question.manifests[name], own.loc[table["id"].iloc[rows]].reset_index(drop=True)
        )
        for row, answer in zip(rows, answers, strict=True):
            told[row] += [answer] if answer else []
    return ["; ".join(dict.fromkeys(parts)) for parts in told]


def question_of(tasks: Tasks, decoder: MultiDecoder) -> MultiQuestion:
    """Return the questions that decoders answer, as far as a finished run needs them."""
    return MultiQuestion({name: task.question(decoder.tasks[name]) for name, task in tasks.items()})


def goes_on(tasks: Tasks, run: MultiQuestion, here: MultiQuestion) -> MultiQuestion:
    """Return the questions by which the network of a finished run learns on."""
    return replace(here, tasks={name: task.goes_on(run.tasks[name], here.tasks[name]) for name, task in tasks.items()})


def plain_decoder(tasks: Tasks, question: MultiQuestion) -> MultiDecoder:
    """Return the decoder of outputs as they are."""
    return MultiDecoder({name: task.plain(question.tasks[name]) for name, task in tasks.items()})


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Put a task's name before what it refuses."""
    try:
        yield
    except UserError as error:
        raise UserError(f"task {name}: {error}") from None

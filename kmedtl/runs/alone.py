"""Each of several tasks asked alone, by a network of its own: what asking them together gains or costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kmedtl.data.pipeline import Pipeline
from kmedtl.recipe import Recipe
from kmedtl.runs.answers import answers_of
from kmedtl.runs.train import train
from kmedtl.statistics.confidence import Estimate
from kmedtl.system.titles import title
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Apart, Evaluation, Examples, Fit, Task

FOLDER = "alone"


@dataclass(frozen=True)
class Alone:
    """One of several tasks, asked alone.

    Attributes:
        evaluation: of the same test.
        gain: the headline figure together minus alone, paired by image.
    """

    evaluation: Evaluation
    gain: Estimate

    @property
    def headline(self) -> Estimate:
        return self.evaluation.estimates[self.evaluation.headline]

    def __str__(self) -> str:
        return f"{title(self.evaluation.headline)} {self.headline}; together minus alone {self.gain}"

    def document(self) -> dict[str, Any]:
        """Return what metrics.json holds."""
        return {self.evaluation.headline: asdict(self.headline), "gain_together": asdict(self.gain)}


def ask_alone(
    recipe: Recipe,
    question: Any,
    data: Mapping[str, Pipeline],
    test: Examples,
    fit: Fit,
    folder: Path,
    log: Callable[[str], None],
) -> dict[str, Alone]:
    """Return what each of several tasks reaches alone, by the same stages on the same images; {} of one, or an update.

    Args:
        data: of all splits, with the targets of all tasks.
        test, fit: what the network that was asked together answered, and what validation chose for it.
        folder: of the run; the training of each has a folder in it.
    """
    if recipe.update.run:  # whose run was trained together
        return {}
    found = {}
    for name, part in task_of(recipe.task).apart(recipe, question).items():
        log(f"\n{name}, asked alone")
        place = folder / FOLDER / name
        place.mkdir(parents=True, exist_ok=True)
        task, settings, seed = task_of(part.recipe.task), part.recipe.evaluation, part.recipe.seed
        own = {split: _known(images, part, task) for split, images in data.items()}
        model, _, _ = train(part.recipe, part.question, own, place, log)
        validation, alone = (answers_of(model, own[split], part.recipe).examples for split in ("val", "test"))
        decoder = task.fit_decoder(part.question, settings, validation, seed).decoder
        evaluation = task.figures(part.question, settings, alone, decoder)
        gain = task.gain(part.question, part.examples(test), [alone], part.decoder(fit), decoder)
        found[name] = Alone(evaluation, gain)
    return found


def _known(images: Pipeline, part: Apart, task: Task) -> Pipeline:
    """Return the images of which a task knows something, with its own targets."""
    rows, targets = part.known(images.targets)
    table = images.table.iloc[rows].reset_index(drop=True)
    return replace(images, table=table, targets=targets, moves=task.moves)

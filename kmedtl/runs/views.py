"""What each view of an examination adds: the figures without it, and of it alone, from outputs that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from kmedtl.recipe import Recipe
from kmedtl.runs.answers import Answers
from kmedtl.statistics.confidence import Estimate
from kmedtl.system.titles import title
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Fit


@dataclass(frozen=True)
class FewerViews:
    """What the model reaches with some views taken for missing.

    Attributes:
        figure: the headline figure.
        gain: that of all views minus this, paired, of the same examinations.
        examinations: of the test that have one of the views that are left.
    """

    figure: Estimate
    gain: Estimate
    examinations: int


@dataclass(frozen=True)
class ViewAblation:
    """What the views of the test's examinations add to each other.

    Attributes:
        every: the headline figure of all views that there are.
        fewer: `without VIEW` and `VIEW alone` → what the same model reaches so, where the test has any such.
        missing: view → the share of the test's examinations without it.
    """

    headline: str
    every: Estimate
    fewer: Mapping[str, FewerViews]
    missing: Mapping[str, float]

    def document(self) -> dict[str, Any]:
        """Return what metrics.json holds."""
        return {
            "every": {self.headline: asdict(self.every)},
            "missing": dict(self.missing),
            "fewer": {
                name: {
                    self.headline: asdict(one.figure),
                    "all_minus_this": asdict(one.gain),
                    "examinations": one.examinations,
                }
                for name, one in self.fewer.items()
            },
        }

    def lines(self) -> list[str]:
        """Return what a person reads in the terminal."""
        name = title(self.headline)
        return [f"  {fewer}: {name} {one.figure}; all minus this {one.gain}" for fewer, one in self.fewer.items()]


def views_of(test: Answers, recipe: Recipe, question: Any, fit: Fit) -> ViewAblation | None:
    """Return what each view adds, by the model's own decoder; None where images are answered by themselves.

    Nothing is asked of the model again: what stands for a missing view takes the place of what the view says.
    """
    if not test.bags.views:
        return None
    task, settings, views = task_of(recipe.task), recipe.evaluation, tuple(recipe.data.views)
    found = test.bags.contributions(test.outputs)
    headline = task.figures(question, settings, test.examples, fit.decoder)

    def with_only(seen: np.ndarray) -> FewerViews:
        rows = np.flatnonzero((found.there & seen).any(axis=1))
        every = test.examples.of(rows)
        fewer = replace(test.examples, outputs=found.outputs(seen)).of(rows)
        figures = task.figures(question, settings, fewer, fit.decoder)
        gain = task.gain(question, every, [fewer], fit.decoder, fit.decoder)
        return FewerViews(figures.estimates[figures.headline], gain, len(rows))

    one = np.eye(len(views), dtype=bool)
    alone = {f"{view} alone": one[number] for number, view in enumerate(views)}
    without = {f"without {view}": ~one[number] for number, view in enumerate(views)}
    asked = without | alone if len(views) > 2 else alone  # of two views each is what is left without the other
    fewer = {name: with_only(seen) for name, seen in asked.items() if (found.there & seen).any()}
    missing = {view: float(1 - found.there[:, number].mean()) for number, view in enumerate(views)}
    return ViewAblation(headline.headline, headline.estimates[headline.headline], fewer, missing)

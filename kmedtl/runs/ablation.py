"""What image and fields are worth without each other: the figures of either alone, and what both together gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.fields import Fields
from kmedtl.edge.tasks.task import Outputs
from kmedtl.recipe import Recipe
from kmedtl.runs.alone import Alone
from kmedtl.runs.fusion import FUSIONS, JUDGED, Joined
from kmedtl.statistics.confidence import Estimate
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Examples, Fit


@dataclass(frozen=True)
class Ablation:
    """What image and fields reach on the test, together and without each other.

    Attributes:
        encoding: the fields.
        words: how they come in.
        weights: of `Joined`.
        both: the headline figure of the model.
        alone: `image` and `fields` → what it reaches without the other.
        missing: field → share of the test images of which it is missing or a value that training never saw.
    """

    encoding: Fields
    words: str
    weights: Mapping[str, float]
    headline: str
    both: Estimate
    alone: Mapping[str, Alone]
    missing: Mapping[str, float]

    def document(self) -> dict[str, Any]:
        """Return what metrics.json holds."""
        return {
            "fields": [asdict(one) for one in self.encoding],
            "weights": dict(self.weights),
            "both": {self.headline: asdict(self.both)},
            **{f"{name}_alone": one.document() for name, one in self.alone.items()},
            "missing": dict(self.missing),
        }


def ablation(
    joined: Joined, recipe: Recipe, question: Any, data: dict[str, Pipeline], answers: Mapping[str, Examples], fit: Fit
) -> Ablation | None:
    """Return what image and fields reach without each other, each with a decoder of its own; None without fields.

    Args:
        answers: split → the model's own, of validation and test.
        fit: what validation chose for it.
    """
    if not recipe.tabular:
        return None
    task, settings = task_of(recipe.task), recipe.evaluation

    def alone(outputs: Mapping[str, Outputs]) -> Alone:
        validation, test = (replace(answers[split], outputs=outputs[split]) for split in JUDGED)
        decoder = task.fit_decoder(question, settings, validation, recipe.seed).decoder
        gain = task.gain(question, answers["test"], [test], fit.decoder, decoder)
        return Alone(task.figures(question, settings, test, decoder), gain)

    together = task.figures(question, settings, answers["test"], fit.decoder)
    test = data["test"].fields
    assert test is not None  # as the recipe names some
    return Ablation(
        test.encoding,
        FUSIONS[recipe.fusion].words,
        joined.weights,
        together.headline,
        together.estimates[together.headline],
        {"image": alone(joined.image), "fields": alone(joined.fields)},
        test.missing(),
    )

"""What a trained model answers for the images of a split, beside what is true of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
import pandas as pd

from kmedtl.data.bags import Bags
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.out_of_distribution import OutOfDistribution
from kmedtl.edge.pooling import ATTENTION
from kmedtl.edge.shapes import FEATURES, ModelInputs
from kmedtl.edge.tasks.task import Outputs
from kmedtl.explain.features import outputs_and_features
from kmedtl.recipe import Recipe
from kmedtl.statistics.out_of_distribution import fit, fit_layout
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Examples

KNOWN_IMAGES = 1000  # of training, that tell what kind of image the model knows


@dataclass(frozen=True)
class Answers:
    """What a model answers for a split's images, or for its volumes by their slices.

    Attributes:
        table: of the split, a row an image or slice.
        inputs: what the model is given, likewise.
        features: of the last layer but one, float32 (N, D), likewise.
        examples: targets and outputs of images or volumes.
        bags: which slices are of which volume.
        outputs: of each image or slice.
    """

    table: pd.DataFrame
    inputs: ModelInputs
    features: np.ndarray
    examples: Examples
    bags: Bags
    outputs: Outputs

    @cached_property
    def shares(self) -> np.ndarray | None:
        """How much each slice counts in the answer for its volume, (N,); None of a rule by which none has a share."""
        return None if self.bags.rule in ("", "max") else self.bags.shares(self.outputs)

    def telling(self, output: str, column: int) -> np.ndarray:
        """Return what is highest of the slice that tells most of its volume, (N,): its weight, or a number of its
        output where no slice is weighed.
        """
        if self.bags.rule == ATTENTION and self.shares is not None:
            return self.shares
        return self.outputs[output][:, column]

    def telling_slice(self, volume: int, output: str, column: int) -> tuple[int, str]:
        """Return the row of the slice that tells most of a volume, and how it is called; see `telling`."""
        rows = np.flatnonzero(self.bags.of == volume)
        row = int(rows[self.telling(output, column)[rows].argmax()])
        why = "weight" if self.bags.rule == ATTENTION else "output"
        return row, f"Shown is slice {self.table['frame'].iloc[row]}, of the highest {why}"


def answers_of(model: keras.Model, part: Pipeline, recipe: Recipe) -> Answers:
    """Return the model's answers for a split."""
    inputs = part.inputs()
    outputs = outputs_and_features(model, *inputs)
    bags = part.bags
    table = bags.table(part.table)
    ids, patients = (table[name].to_numpy(object) for name in ("id", "patient"))
    groups = table[[*recipe.evaluation.groups, *task_of(recipe.task).columns]]
    examples = Examples(ids, patients, bags.known(part.targets), bags.outputs(outputs), groups)
    return Answers(part.table, inputs, outputs[FEATURES], examples, bags, outputs)


def known_images(model: keras.Model, training: Pipeline, validation: Answers, seed: int) -> OutOfDistribution:
    """Return what kind of image the model knows: that of training, as far as validation is like it."""
    known = training.sample(KNOWN_IMAGES, seed)
    found = fit(outputs_and_features(model, *known)[FEATURES], validation.features)
    return replace(found, layout=fit_layout(known.images, validation.inputs.images))


def arrays_of(answers: Mapping[str, Answers], recipe: Recipe, question: Any) -> dict[str, np.ndarray]:
    """Return what predictions.npz holds: a row an image, in the order of `predictions_of`."""
    parts = [task_of(recipe.task).arrays(question, part.examples) for part in answers.values()]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def predictions_of(
    answers: Mapping[str, Answers], known: OutOfDistribution, recipe: Recipe, question: Any, decoder: Any
) -> pd.DataFrame:
    """Return a row an image: who it is of, truth, outputs and answers, groups, and whether it is of another kind."""
    parts = [_table(part, known, recipe, question, decoder) for part in answers.values()]
    return pd.concat(parts, ignore_index=True)


def _table(answers: Answers, known: OutOfDistribution, recipe: Recipe, question: Any, decoder: Any) -> pd.DataFrame:
    images = answers.bags.table(answers.table)[["id", "patient", "split"]].reset_index(drop=True)
    columns = task_of(recipe.task).table(question, answers.examples, decoder)
    groups = answers.examples.groups.reset_index(drop=True)
    unlike = answers.bags.most(known.unlike(answers.features, answers.inputs.images))
    return pd.concat([images, columns, groups], axis=1).assign(unlike_training=unlike.astype(int))

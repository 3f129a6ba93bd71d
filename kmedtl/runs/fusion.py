"""Fields beside the image: how they come into a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.tasks.task import Outputs
from kmedtl.explain.features import outputs_and_features
from kmedtl.finetune.linear_fit import fit_linear, fit_sum
from kmedtl.heads.fields import Addition, with_fields
from kmedtl.recipe import Recipe
from kmedtl.tasks import task_of

FOLDS = 5  # of validation, for what is fitted to it before the decoder is
JUDGED = ("val", "test")
Linear = Mapping[str, tuple[np.ndarray, np.ndarray]]  # output → kernel (D, F) and bias (F,)
Losses = Mapping[str, keras.losses.Loss]


@dataclass(frozen=True)
class Joined:
    """A model that takes image and fields.

    Attributes:
        held_out: by output what is added to its outputs on validation, (N, …), so that they are as if nothing had been
            fitted to the image that they are of; empty: nothing was.
        image, fields: split → outputs of either without the other, of validation and test.
        weights: how much either counts in the sum of both; empty: there is no sum.
    """

    model: keras.Model
    held_out: Outputs = field(default_factory=dict)
    image: Mapping[str, Outputs] = field(default_factory=dict)
    fields: Mapping[str, Outputs] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Fusion:
    """How fields come into a model.

    Attributes:
        in_training: the network is trained with them.
        words: what it does, for the report.
        alone: (model as trained, pipeline) → outputs of the image alone.
        join: (`Joined` of the model as trained, linear model of the fields, losses, validation, seed) → `Joined`.
    """

    in_training: bool
    words: str
    alone: Callable[[keras.Model, Pipeline], Outputs]
    join: Callable[[Joined, Linear, Losses, Pipeline, int], Joined]


def in_training(recipe: Recipe, data: dict[str, Pipeline]) -> tuple[dict[str, Pipeline], int]:
    """Return the images as the network is trained on them, and how many numbers the fields beside each are; 0: none."""
    if recipe.tabular and FUSIONS[recipe.fusion].in_training:
        return data, data["train"].width
    return {split: replace(part, fields=None) for split, part in data.items()}, 0


def join(
    model: keras.Model, recipe: Recipe, question: Any, data: dict[str, Pipeline], log: Callable[[str], None]
) -> Joined:
    """Return a trained model with the fields in it, and what each is worth alone; without fields the model as it is.

    The fields alone are a linear model of the training images, fitted by the task's own loss with a ridge.

    Args:
        data: of all splits, with fields.
    """
    if not recipe.tabular:
        return Joined(model)
    fusion, train = FUSIONS[recipe.fusion], data["train"]
    losses = task_of(recipe.task).network().losses(question, None, recipe.training, False)
    known = train.bags.known(train.targets)
    image = {split: data[split].bags.outputs(fusion.alone(model, data[split])) for split in JUDGED}
    linear = {
        name: fit_linear(_beside(train), known[name], loss, image["val"][name].shape[-1])
        for name, loss in losses.items()
    }
    fields = {split: _put_out(linear, _beside(data[split])) for split in JUDGED}
    joined = fusion.join(Joined(model, image=image, fields=fields), linear, losses, data["val"], recipe.seed)
    if joined.weights:
        told = " + ".join(f"{weight:.2f} · {name}" for name, weight in joined.weights.items())
        log(f"Fields: {told}, stacked on {len(data['val'].bags.first)} validation images.")
    return joined


def _beside(part: Pipeline) -> np.ndarray:
    """Return the fields of each image or volume, float32 (N, D)."""
    assert part.beside is not None  # as of every split of a recipe that names fields
    return part.beside[part.bags.first]


def _of_pixels(model: keras.Model, part: Pipeline) -> Outputs:
    return outputs_and_features(model, part.pixels())


def _without_fields(model: keras.Model, part: Pipeline) -> Outputs:
    assert part.fields is not None  # as of every split of a recipe that names some
    return outputs_and_features(model, part.pixels(), part.fields.absent(len(part.table)))


def _put_out(linear: Linear, fields: np.ndarray) -> Outputs:
    return {name: (fields @ kernel + bias).astype(np.float32) for name, (kernel, bias) in linear.items()}


def _stacked(joined: Joined, linear: Linear, losses: Losses, validation: Pipeline, seed: int) -> Joined:
    """Add the fields' outputs to the image's, as much of each as validation wants, by a ridge towards the image alone.

    What the decoder is fitted on is cross-fitted: each patient's outputs are joined by weights that the others chose.
    """
    bags, known = validation.bags, validation.bags.known(validation.targets)
    folds = _folds(bags.table(validation.table)["patient"].to_numpy(str), seed)
    additions, held_out, weights = {}, {}, {}
    for name, loss in losses.items():
        image, fields, targets = joined.image["val"][name], joined.fields["val"][name], known[name]
        scale, share, shift = fit_sum(image, fields, targets, loss)
        apart = np.empty_like(image)
        for fold in set(folds.tolist()):
            learn, rest = folds != fold, folds == fold
            a, b, c = fit_sum(image[learn], fields[learn], targets[learn], loss)
            apart[rest] = a * image[rest] + b * fields[rest] + c
        held_out[name] = apart - (scale * image + share * fields + shift).astype(np.float32)
        kernel, bias = linear[name]
        additions[name] = Addition(scale, share * kernel, share * bias + shift)
        weights = {"image": scale, "fields": share}  # of the one output of a task that takes fields
    return replace(joined, model=with_fields(joined.model, additions), held_out=held_out, weights=weights)


def _folds(patients: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold of each image, a patient's in one; of few patients there are as many folds as patients."""
    people, of_image = np.unique(patients, return_inverse=True)
    fold = np.arange(len(people)) % min(FOLDS, len(people))
    return np.random.default_rng(seed).permutation(fold)[of_image]


def _as_trained(joined: Joined, linear: Linear, losses: Losses, validation: Pipeline, seed: int) -> Joined:
    return joined


FUSIONS: Mapping[str, Fusion] = {
    "late": Fusion(
        False,
        "The network was trained on the image alone; a linear model of the fields was added to its output, as much of "
        "each as validation wants, cross-fitted by patient.",
        _of_pixels,
        _stacked,
    ),
    "gated": Fusion(
        True,
        "The fields scale and shift the vector that the network makes of the image, in training already (FiLM); there "
        "each was dropped at random, so that the network knows what to do without it. The image alone is the same "
        "network with every field missing.",
        _without_fields,
        _as_trained,
    ),
}

"""What the frozen part says of each image, computed once for all trials; for the head it stands in for the images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from kmedtl.backbones.blocks import Block
from kmedtl.data.bags import Bags, bags_of
from kmedtl.data.pipeline import Pipeline, Variation
from kmedtl.data.sampling import strata_of
from kmedtl.edge.pooling import Pooling
from kmedtl.errors import UserError
from kmedtl.files.cache import made_once
from kmedtl.finetune.frozen_prefix import CachedEpoch, ModelSplit, cache, cut, size_of
from kmedtl.recipe import Recipe, Stage
from kmedtl.tasks.task import Targets


@dataclass(frozen=True)
class Features:
    """Activations in files, mapped into memory; the fields are those of `kmedtl.finetune.frozen_prefix.Activations`."""

    arrays: Sequence[np.ndarray]
    targets: Targets
    weights: np.ndarray


@dataclass(frozen=True)
class FeaturePipeline:
    """What `kmedtl.data.pipeline.Pipeline` is to a model, of features: variation and weights are in them already.

    There are no fields beside the images, and no volumes that are answered as a whole: a search refuses them.
    """

    features: Features
    table: pd.DataFrame
    targets: Targets
    batch_size: int
    fields: None = None
    pooling: Pooling = ""

    @property
    def steps(self) -> int:
        return -(-len(self.table) // self.batch_size)

    @property
    def bags(self) -> Bags:
        return bags_of(self.table, self.pooling)

    def images(self) -> list[np.ndarray]:
        """Return float32 arrays, one an input of the head, in the table's order."""
        return [array[0].astype(np.float32) for array in self.features.arrays]

    def epoch(
        self, seed: int, variation: Variation, class_weights: str = "none", sampling: str = "natural"
    ) -> CachedEpoch:
        """Return one epoch, drawn and shuffled as `seed` says."""
        return CachedEpoch(self.features, self.batch_size, seed, strata_of(self.table, sampling))

    def rows_of_step(self, seed: int, step: int, sampling: str = "natural") -> np.ndarray:
        """Return the rows of the table in a batch of an epoch, counted from 0."""
        return self.epoch(seed, Variation(), sampling=sampling).rows(step)


def head_on_features(
    recipe: Recipe, stage: Stage, model: keras.Model, blocks: Sequence[Block], data: dict[str, Pipeline], folder: Path
) -> tuple[keras.Model, tuple[Block, ...], dict[str, FeaturePipeline]]:
    """Return the model's head as a model of features, its one block, and the features of `train` and `val`.

    Layers and weights are the model's own. The features are those that a run's head stage computes, view for view.

    Args:
        stage: the first, which says how images are varied.
        folder: keeps the features; what is there already is taken.

    Raises:
        UserError: they take more than `training.cache_gigabytes`, or cannot be written.
    """
    before = cut(model, blocks, (blocks[-1].name,))
    assert before is not None  # the head comes after the backbone, so there is something to cut off
    variation = Variation.of(stage, recipe.data.augment)
    views = 1 if variation.is_none else min(stage.views, stage.epochs)
    _refuse_too_large(recipe, before, len(data["train"].table) * views + len(data["val"].table))

    def make(path: Path) -> None:
        settings = data, views, variation, stage.class_weights, recipe.training.cache_dtype, recipe.seed
        (computed,) = cache([before], *settings)
        for split, activations in computed.items():
            _write(path, split, Features(activations.arrays, activations.targets, activations.weights))

    name = _name(recipe, stage, before, views, data)
    path = made_once(folder / name, make)
    pipelines = {
        split: FeaturePipeline(
            _read(path, split, len(before.prefix.outputs), part.targets), part.table, part.targets, part.batch_size
        )
        for split, part in data.items()
    }
    return before.suffix, (blocks[-1],), pipelines


def _refuse_too_large(recipe: Recipe, before: ModelSplit, images: int) -> None:
    size, budget = size_of(before, images, recipe.training.cache_dtype) / 1e9, recipe.training.cache_gigabytes
    if size > budget:
        raise UserError(
            f"search: the features of {images} images take {size:.1f} GB, more than training.cache_gigabytes="
            f"{budget:g}; raise it, or set search.tier=full."
        )


def _name(recipe: Recipe, stage: Stage, before: ModelSplit, views: int, data: dict[str, Pipeline]) -> str:
    """Return a name for everything that the features follow from."""
    settings = {
        "backbone": asdict(recipe.backbone),
        "size": recipe.data.size,
        "augment": stage.augment or recipe.data.augment,
        "stage": [stage.mix, stage.border, stage.class_weights, stage.style],
        "views": views,
        "batch_size": recipe.data.batch_size,
        "training": [recipe.training.cache_dtype, recipe.training.precision],
        "seed": recipe.seed,
        "cut": [list(output.shape) for output in before.prefix.outputs],
        "images": {split: part.table["id"].tolist() for split, part in data.items()},
    }
    return hashlib.sha256(json.dumps(settings).encode(errors="surrogateescape")).hexdigest()[:16]


def _write(path: Path, split: str, features: Features) -> None:
    named = {f"{number}": array for number, array in enumerate(features.arrays)}
    named |= {f"targets-{name}": array for name, array in features.targets.items()}
    for name, array in (named | {"weights": features.weights}).items():
        np.save(path / f"{split}-{name}.npy", array)


def _read(path: Path, split: str, outputs: int, targets: Targets) -> Features:
    arrays = [np.load(path / f"{split}-{number}.npy", mmap_mode="r") for number in range(outputs)]
    held = {name: np.load(path / f"{split}-targets-{name}.npy") for name in targets}
    return Features(arrays, held, np.load(path / f"{split}-weights.npy"))

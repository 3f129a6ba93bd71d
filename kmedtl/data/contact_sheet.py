"""Contact sheets: images as a model sees them, with their labels, as they are and varied as in training."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
import pandas as pd

from kmedtl.data.manifest import Manifest, classes_of
from kmedtl.data.pipeline import Pipeline, Variation
from kmedtl.data.store import Store
from kmedtl.images.thumbnail import jpeg
from kmedtl.recipe import Recipe

Draw = Callable[[np.ndarray, Mapping[str, np.ndarray]], np.ndarray]
SIDE = 160  # pixels of a picture
AUDITED, TRAINED = 24, 8  # images of the audit's sheet, and of the report's, which shows each several times


@dataclass(frozen=True)
class Sample:
    """An image of a contact sheet.

    Attributes:
        id: as predictions.csv has it.
        label: its class or classes.
        pictures: JPEG files: the image as it is, then variations of it.
    """

    id: str
    label: str
    pictures: tuple[bytes, ...]


def of_store(store: Store, manifest: Manifest, table: pd.DataFrame, hidden: Collection[str]) -> list[Sample]:
    """Return images of all classes as they are.

    Args:
        table: the readable images of the manifest, with `record`.
        hidden: ids that are not shown.
    """
    shown = _chosen(manifest, table[~table["id"].isin(hidden)], AUDITED)
    if not len(shown):
        return []
    pixels = enumerate(store.images().take(shown["record"].max() + 1).as_numpy_iterator())
    wanted = set(shown["record"])
    images = [image for record, image in pixels if record in wanted]
    return _samples(shown, classes_of(manifest, shown), [images])


def of_training(
    train: Pipeline,
    manifest: Manifest,
    recipe: Recipe,
    hidden: Collection[str],
    labels: Callable[[pd.DataFrame], Sequence[str]],
    draw: Draw | None = None,
) -> list[Sample]:
    """Return training images of all classes, as they are and as the recipe's stages vary them.

    Args:
        recipe: with the stages as they turned out.
        hidden: ids that are not shown.
        labels: rows of the table → what is true of each image, in words.
        draw: (images, targets) → the images with what is true of them drawn in; None: as they are.
    """
    shown = _chosen(manifest, train.table[~train.table["id"].isin(hidden)], TRAINED)
    if not len(shown):
        return []
    targets = {name: known[shown.index] for name, known in train.targets.items()}
    part = replace(train, table=shown, targets=targets, batch_size=len(shown), fields=None)  # of which nothing shows
    versions = [(part.pixels(), targets)]
    for number, variation in enumerate(_variations(recipe)):
        (batch,) = part.varied(recipe.seed + number, variation, "none").as_numpy_iterator()
        versions.append((batch[0].clip(0, 255).astype(np.uint8), batch[1]))
    return _samples(shown, labels(shown), [draw(*version) if draw else version[0] for version in versions])


def _variations(recipe: Recipe) -> list[Variation]:
    """Return how the stages vary images, each way once; a single way twice, since no two images of it are alike."""
    stages = [Variation.of(stage, recipe.data.augment) for stage in recipe.stages]
    ways = [way for way in dict.fromkeys(stages) if not way.is_none]
    return 2 * ways if len(ways) == 1 else ways


def _chosen(manifest: Manifest, table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return up to `count` rows, the classes in turn and those without any last, in the order of `record`."""
    table = table.sort_values("record")
    members = list(manifest.members(table).values())
    none = ~np.any(members, axis=0) if members else np.ones(len(table), bool)
    in_turn = zip_longest(*map(np.flatnonzero, [*members, none]))
    rows = [int(row) for turn in in_turn for row in turn if row is not None]
    return table.iloc[sorted(list(dict.fromkeys(rows))[:count])]


def _samples(shown: pd.DataFrame, labels: Sequence[str], versions: Iterable[Iterable[np.ndarray]]) -> list[Sample]:
    pictures = [tuple(jpeg(image, SIDE) for image in images) for images in zip(*versions, strict=True)]
    return [Sample(*fields) for fields in zip(shown["id"], labels, pictures, strict=True)]

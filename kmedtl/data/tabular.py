"""Fields beside the images of a run: their columns in the manifest, what training says of them, and a model's input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from kmedtl.data.manifest import OWN, Manifest
from kmedtl.edge import fields as encodings
from kmedtl.edge.fields import CategoryField, Field, Fields, NumberField
from kmedtl.edge.given_fields import DICOM_TAGS, dicom_file, from_headers
from kmedtl.errors import UserError, expect, nearest

ANSWERS = ("id", "path", "patient", "split", "label", "mask", "frame")  # columns that are no fields
MOST_CATEGORIES = 100  # more are names of something
DROPPED = 0.2  # probability that a training image's field is taken as missing, each for itself

Kinds = Mapping[str, str]  # name of a field → `number` or `category`


@dataclass(frozen=True)
class FieldInput:
    """The fields of a split's images.

    Attributes:
        encoding: how they become numbers.
        rows: as text, an image each.
        values: the same as a model takes it, float32 (N, D).
        dropped: probability that `of_epoch` takes a field of an image as missing.
    """

    encoding: Fields
    rows: Sequence[Mapping[str, str]]
    values: np.ndarray
    dropped: float = 0.0

    def of(self, rows: np.ndarray | Sequence[int]) -> FieldInput:
        """Return those of some of the images."""
        return replace(self, rows=[self.rows[row] for row in rows], values=self.values[rows])

    def absent(self, images: int) -> np.ndarray:
        """Return what says that nothing is known, float32 (images, D)."""
        return encodings.absent(self.encoding, images)

    def of_epoch(self, seed: int) -> np.ndarray:
        """Return the values for an epoch of training, float32 (N, D), fields dropped as its seed says."""
        if not self.dropped:
            return self.values
        spans = encodings.spans(self.encoding)
        gone = np.random.default_rng(seed).random((len(self.values), len(spans))) < self.dropped
        columns = np.repeat(gone, [span.stop - span.start for span in spans], axis=1)
        return np.where(columns, self.absent(1), self.values)

    def missing(self) -> dict[str, float]:
        """Return the share of the images of which each field says nothing, or what training never saw."""
        gaps = [encodings.gaps(self.encoding, row) for row in self.rows]
        return {
            field.name: float(np.mean([field.name in (*gap.missing, *gap.unseen) for gap in gaps]))
            for field in self.encoding
        }


def with_columns(manifest: Manifest, kinds: Kinds, forbidden: Sequence[str] = ()) -> Manifest:
    """Return a manifest that has every field as a column, of DICOM files from their headers where it has none.

    Args:
        forbidden: columns that hold the answer.

    Raises:
        UserError: a column that is not there, or that is no field.
    """
    table = manifest.table
    for name in kinds:
        if name in (*ANSWERS, *OWN, *manifest.classes, *forbidden):
            raise UserError(f"tabular.{name}: expected a column that holds neither the answer nor who it is of.")
    absent = [name for name in kinds if name not in table]
    tagged = [name for name in absent if name.casefold() in DICOM_TAGS]
    of = {path: dicom_file(path) for path in table["path"].unique()} if tagged else {}
    if any(of.values()):
        told = from_headers([of[path] for path in table["path"]], tagged)
        table = table.assign(**{name: [header.get(name, "") for header in told] for name in tagged})
        absent = [name for name in absent if name not in tagged]
    if absent:
        offered = [name for name in table.columns if name not in (*ANSWERS, *OWN, *manifest.classes, *forbidden)]
        raise UserError(
            f"tabular.{absent[0]}: {manifest.source_name} has no column '{absent[0]}'. {nearest(absent[0], offered)} "
            f"DICOM headers give {', '.join(DICOM_TAGS)}."
        )
    return replace(manifest, table=table)


def learned_fields(kinds: Kinds, training: pd.DataFrame) -> Fields:
    """Return how the fields become numbers: statistics and categories of the training images alone.

    Raises:
        UserError: a column that says nothing, or numbers that are none.
    """
    return tuple(_LEARNED[kind](name, _filled(training[name], name)) for name, kind in kinds.items())


def encoded(fields: Fields, table: pd.DataFrame) -> np.ndarray:
    """Return the fields of a table's images as a model takes them, float32 (N, D)."""
    return encodings.encode(fields, rows_of(fields, table))


def rows_of(fields: Fields, table: pd.DataFrame) -> list[dict[str, str]]:
    """Return the fields of each of a table's images, as text."""
    names = [field.name for field in fields]
    texts = table[names].astype(object).where(table[names].notna(), "").astype(str)
    return [{str(name): value for name, value in row.items()} for row in texts.to_dict("records")]


def field_input(fields: Fields, table: pd.DataFrame, dropped: float = 0.0) -> FieldInput:
    """Return the fields of a split."""
    rows = rows_of(fields, table)
    return FieldInput(fields, rows, encodings.encode(fields, rows), dropped)


def _filled(column: pd.Series, name: str) -> list[str]:
    values = [encodings.text(value) for value in column if pd.notna(value)]
    filled = [value for value in values if not encodings.is_blank(value)]
    expect(bool(filled), f"tabular.{name}", "a column that says something of training images", "blanks alone")
    return filled


def _learned_number(name: str, filled: Sequence[str]) -> NumberField:
    found = [encodings.number(value) for value in filled]
    other = next((text for text, value in zip(filled, found, strict=True) if value is None), None)
    expect(other is None, f"tabular.{name}", "numbers or blanks; else call it a category", other)
    values = np.array(found, float)
    deviation = float(values.std())
    expect(deviation > 0, f"tabular.{name}", "numbers that differ between training images", filled[0])
    return NumberField(name, float(values.mean()), deviation)


def _learned_category(name: str, filled: Sequence[str]) -> CategoryField:
    found = tuple(sorted(set(map(encodings.category, filled))))
    expect(len(found) <= MOST_CATEGORIES, f"tabular.{name}", f"{MOST_CATEGORIES} categories at most", len(found))
    return CategoryField(name, found)


_LEARNED: Mapping[str, Callable[[str, Sequence[str]], Field]] = {
    "number": _learned_number,
    "category": _learned_category,
}

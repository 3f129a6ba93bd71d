"""Fields beside the image, such as age and sex, as the numbers that a model takes. NumPy only.

A field that is missing is a state of its own: of a number the mean with a mark beside it, of a category the column
`unknown`, which values that training never saw share.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from kmedtl.errors import expect

FIELDS = "fields"  # the input of a model that takes them
BLANKS = frozenset({"", "-", "nan", "na", "n/a", "<na>", "#n/a", "nat", "none", "null", "unknown"})
FARTHEST = 5.0  # standard deviations from the mean; what lies beyond counts as if it lay there
YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}  # of the units of a DICOM age, as 045Y
DICOM_AGE = re.compile(r"(\d{3})([DWMY])")
# DICOM writes a sex as a letter, most tables as a word; either stands for the other where a model knows one alone.
ALSO = {"m": "male", "male": "m", "f": "female", "female": "f", "o": "other", "other": "o"}


class Gaps(NamedTuple):
    """Fields of an image that say nothing: those that are `missing`, and those whose value training never saw."""

    missing: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class NumberField:
    """A number: in standard deviations from the mean of the training images, and whether it is missing."""

    name: str
    mean: float
    deviation: float
    kind: Literal["number"] = "number"

    def __post_init__(self) -> None:
        expect(self.name != "", "name", "a name", self.name)
        expect(math.isfinite(self.mean), f"{self.name}: mean", "a finite number", self.mean)
        sound = math.isfinite(self.deviation) and self.deviation > 0
        expect(sound, f"{self.name}: deviation", "a finite number above 0", self.deviation)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.name, f"{self.name} is missing"

    @property
    def absent(self) -> tuple[float, ...]:
        return 0.0, 1.0

    def encode(self, text: str) -> tuple[float, ...] | None:
        """Return the columns of a value that is there; None where it is no number."""
        value = number(text)
        if value is None:
            return None
        return float(np.clip((value - self.mean) / self.deviation, -FARTHEST, FARTHEST)), 0.0

    def __str__(self) -> str:
        return f"{self.name} (a number, {self.mean:.4g} ± {self.deviation:.3g} in training)"


@dataclass(frozen=True)
class CategoryField:
    """One of the categories of the training images, a column each, and one for whatever is unknown."""

    name: str
    categories: tuple[str, ...]
    kind: Literal["category"] = "category"

    def __post_init__(self) -> None:
        expect(self.name != "", "name", "a name", self.name)
        sound = bool(self.categories) and len(set(self.categories)) == len(self.categories)
        expect(sound, f"{self.name}: categories", "names that differ", self.categories)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*(f"{self.name}={category}" for category in self.categories), f"{self.name} is unknown")

    @property
    def absent(self) -> tuple[float, ...]:
        return (*(0.0 for _ in self.categories), 1.0)

    def encode(self, text: str) -> tuple[float, ...] | None:
        """Return the columns of a value that is there; None where training never saw it."""
        value = category(text)
        value = value if value in self.categories else ALSO.get(value, value)
        if value not in self.categories:
            return None
        return (*(float(one == value) for one in self.categories), 0.0)

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.categories)})"


Field = NumberField | CategoryField
Fields = tuple[Field, ...]
Values = Mapping[str, object]  # of one image: name of a field → what is known


def width(fields: Fields) -> int:
    """Return how many numbers an image has in the input `fields`."""
    return sum(len(field.columns) for field in fields)


def spans(fields: Fields) -> list[slice]:
    """Return the columns of each field."""
    ends = np.cumsum([0, *(len(field.columns) for field in fields)]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def absent(fields: Fields, images: int = 1) -> np.ndarray:
    """Return what says that every field is missing, float32 (images, D)."""
    return np.tile(np.array([value for field in fields for value in field.absent], np.float32), (images, 1))


def encode(fields: Fields, rows: Sequence[Values]) -> np.ndarray:
    """Return float32 (N, D) of what is known of N images; what is missing, unseen or no number says so."""
    return np.array([_row(fields, row) for row in rows], np.float32).reshape(len(rows), width(fields))


def gaps(fields: Fields, row: Values) -> Gaps:
    """Return which fields say nothing of an image."""
    known = {field: text(row.get(field.name)) for field in fields}
    missing = tuple(field.name for field, value in known.items() if is_blank(value))
    unseen = tuple(field.name for field, value in known.items() if not is_blank(value) and field.encode(value) is None)
    return Gaps(missing, unseen)


def text(value: object) -> str:
    """Return a value of a table as text without blanks around it, "" of None."""
    return "" if value is None else str(value).strip()


def is_blank(value: str) -> bool:
    """Tell whether a text says that nothing is known."""
    return value.casefold() in BLANKS


def number(value: str) -> float | None:
    """Return a finite number, of a DICOM age such as 045Y or 018M in years; None of anything else."""
    age = DICOM_AGE.fullmatch(value.upper())
    if age:
        return int(age[1]) * YEARS[age[2]]
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def category(value: str) -> str:
    """Return what spellings of a category have in common: case, blanks, Unicode form and a trailing `.0` aside."""
    plain = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
    return re.sub(r"^(-?\d+)\.0+$", r"\1", plain)


def _row(fields: Fields, row: Values) -> list[float]:
    found: list[float] = []
    for field in fields:
        value = text(row.get(field.name))
        found.extend((None if is_blank(value) else field.encode(value)) or field.absent)
    return found

"""Columns of a manifest as groups of images: which make some, and what they are called."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from kmedtl.edge.fields import DICOM_AGE, YEARS
from kmedtl.errors import UserError, nearest

MOST_GROUPS = 30
NO_GROUPS = ("id", "path", "patient", "split", "label", "mask", "frame", "record", "sha256", "twin", "poor", "stratum")
AGES = (0, 18, 40, 65, math.inf)
AGE = re.compile(r"(.*[^a-z])?age([^a-z].*)?")
MISSING = "unknown"


def check_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse columns of a manifest that make no groups, before anything trains.

    Raises:
        UserError: a column that is not there, that names a person or a file, or that has more than 30 groups.
    """
    offered = [name for name in table.columns if name not in NO_GROUPS]
    for column in columns:
        if column not in offered:
            raise UserError(f"evaluation.groups: no column '{column}' to group by. {nearest(column, offered)}")
        count = len(set(bands(table[column])))
        if count > MOST_GROUPS:
            expected = f"a column of {MOST_GROUPS} groups at most"
            raise UserError(f"evaluation.groups: expected {expected}. Received: '{column}' of {count}.")


def bands(values: pd.Series) -> np.ndarray:
    """Return the name of each value's group, (N,) text: numbers in bands, "" and NaN as `unknown`."""
    texts = values.astype(object).where(values.notna(), "").astype(str).str.strip()
    numbers = pd.to_numeric(texts.where(texts != "").map(_in_years, na_action="ignore"), errors="coerce")
    numeric = numbers.notna().sum() == (texts != "").sum() and numbers.nunique() > 5
    if not numeric:
        return texts.where(texts != "", MISSING).to_numpy(object)
    is_age = bool(AGE.fullmatch(str(values.name).lower())) or bool(texts.str.fullmatch(DICOM_AGE.pattern).any())
    edges = AGES if is_age else (-math.inf, *sorted(set(numbers.quantile([0.25, 0.5, 0.75]))), math.inf)
    names = [_band(low, high, is_age) for low, high in itertools.pairwise(edges)]
    places = np.searchsorted(edges[1:-1], numbers.to_numpy(), side="right")
    return np.where(numbers.isna(), MISSING, np.array(names, object)[places])


def _in_years(text: str) -> str | float:
    """Return a DICOM age (PS3.5, value representation AS) as a number; any other text as it is."""
    age = DICOM_AGE.fullmatch(text)
    return int(age[1]) * YEARS[age[2]] if age else text


def _band(low: float, high: float, whole: bool) -> str:
    if high == math.inf:
        return f"{low:g}+"
    if low in (0, -math.inf):
        return f"<{high:g}"
    return f"{low:g}–{high - 1:g}" if whole else f"{low:g} to <{high:g}"


def in_order(names: np.ndarray) -> list[str]:
    """Return groups by the number that they begin with, then by name, the unknown last."""

    def place(name: str) -> tuple[bool, float, str]:
        number = re.match(r"<?(-?\d+(\.\d+)?)", name)
        below = 0.5 if name.startswith("<") else 0
        return name == MISSING, float(number[1]) - below if number else math.inf, name

    return sorted(set(names), key=place)

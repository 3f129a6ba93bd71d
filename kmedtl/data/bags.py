"""Slices that are answered together, as one volume, and images of one patient, as one examination. An image is a bag of
itself, so nobody need ask which it is.

Slices and images stay rows of table, store and cache of the frozen part; a bag's label is that of each of its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kmedtl.edge.pooling import Contributions, Pooling, Views, along, contributions, of_own_view, pooled, shares
from kmedtl.edge.shapes import FEATURES
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError


@dataclass(frozen=True)
class Bags:
    """Which of N rows are answered together.

    Attributes:
        of: int (N,): the bag of each row, numbered in the order of their first rows.
        rule: how their outputs become one; "": each row is a bag.
        frames: (N,): the index of each slice in its volume.
        views: of which view of its examination each row is; None: bags are volumes, or images.
    """

    of: np.ndarray
    rule: Pooling
    frames: np.ndarray
    views: Views | None = None

    @property
    def first(self) -> np.ndarray:
        """The first row of each bag, int (V,)."""
        return np.unique(self.of, return_index=True)[1]

    @property
    def middle(self) -> np.ndarray:
        """The row of each bag whose frame is the middle one, int (V,)."""
        return np.array([rows[len(rows) // 2] for rows in self.rows], int)

    @property
    def rows(self) -> list[np.ndarray]:
        """The rows of each bag, in the order of their views and frames."""
        order = np.lexsort((self.frames, self.parts))
        return np.split(order, np.cumsum(np.bincount(self.of))[:-1])

    @property
    def weights(self) -> np.ndarray:
        """What makes each bag count the same, float64 (N,), of mean 1: the more rows in a bag, the less each."""
        counts = np.bincount(self.of)
        return len(self.of) / len(counts) / counts[self.of]

    def outputs(self, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return the outputs of the bags, (V, …), of those of the rows."""
        if self.views:
            return self.contributions(outputs).outputs(np.ones(self.views.count, bool))
        return pooled(outputs, self.of, self.rule, self.places) if self.rule else dict(outputs)

    def contributions(self, outputs: Outputs) -> Contributions:
        """Return what each view says in the answers for examinations; see `kmedtl.edge.pooling.contributions`."""
        assert self.views is not None  # else a bag has none
        return contributions(_without_features(outputs), self.of, self.rule, self.places, self.views)

    def of_rows(self, outputs: Outputs) -> Outputs:
        """Return what each row says by itself, (N, …): of several views as one of its own."""
        return of_own_view(_without_features(outputs), self.views) if self.views else outputs

    @property
    def parts(self) -> np.ndarray:
        """What the rule pools, int (N,): the bag of each row, or the view of its examination; some may be of none."""
        return self.of * self.views.count + self.views.of if self.views else self.of

    @property
    def places(self) -> np.ndarray:
        """Where slices lie in their volumes, (N,) in 0–1; see `kmedtl.edge.pooling.along`."""
        return along(self.frames, self.parts)

    def shares(self, outputs: Outputs) -> np.ndarray:
        """Return how much each row counts in the answer for its bag, (N,); see `kmedtl.edge.pooling.shares`.

        Of several views each has its part of the whole, which it keeps where another is missing.
        """
        _, parts = np.unique(self.parts, return_inverse=True)
        found = shares(outputs, parts, self.rule, self.places)
        return found / self.views.count if self.views else found

    def known(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return what is known of each bag, (V, …), of arrays that say the same of all of its rows."""
        return {name: array[self.first] for name, array in arrays.items()} if self.rule else dict(arrays)

    def most(self, found: np.ndarray) -> np.ndarray:
        """Return which bags are what most of their rows are, bool (V,)."""
        return np.bincount(self.of, found) > np.bincount(self.of) / 2

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a row a bag, which goes by the name of its volume or examination."""
        if not self.rule:
            return table
        first = table.iloc[self.first].reset_index(drop=True)
        return first.assign(id=first[name_of_bag(self.rule, bool(self.views))])


def _without_features(outputs: Outputs) -> Outputs:
    return {name: found for name, found in outputs.items() if name != FEATURES}


def name_of_bag(rule: Pooling, views: bool) -> str:
    """Return the column of a manifest's table that names what is answered together."""
    return "examination" if views else "volume" if rule else "id"


def bags_of(table: pd.DataFrame, rule: Pooling, views: Sequence[str] = ()) -> Bags:
    """Return the bags of a part of a manifest's table: examinations of these views, volumes, or by the rule "" rows."""
    if not rule:
        return Bags(np.arange(len(table)), rule, np.zeros(len(table)))
    frames = pd.to_numeric(table["frame"]).fillna(0).to_numpy()
    seen = Views(pd.Index(views).get_indexer(pd.Index(table["view"])), len(views)) if views else None
    return Bags(pd.factorize(table[name_of_bag(rule, bool(views))])[0], rule, frames, seen)


def check_known(
    table: pd.DataFrame, targets: Mapping[str, np.ndarray], rule: Pooling, source: str, views: Sequence[str] = ()
) -> None:
    """Refuse slices that disagree with others of their volume, or images with those of their examination.

    Its label would be none.

    Raises:
        UserError: the first such volume or examination.
    """
    bags = bags_of(table, rule, views)
    for array in targets.values():
        apart = (array != array[bags.first][bags.of]).reshape(len(array), -1).any(axis=1)
        if apart.any():
            first = table[name_of_bag(rule, bool(views))][apart].iloc[0]
            each, instead = ("images", "") if views else ("slices", ", or save the slices as images")
            raise UserError(f"{source}: {first}: its {each} have different labels; give it one{instead}.")

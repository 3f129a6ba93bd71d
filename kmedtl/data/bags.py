"""Slices that are answered together, as one volume. An image is a bag of itself, so nobody need ask which it is.

Slices stay rows of table, store and cache of the frozen part; a volume's label is that of each of its slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kmedtl.edge.pooling import Pooling, along, pooled, shares
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError


@dataclass(frozen=True)
class Bags:
    """Which of N rows are answered together.

    Attributes:
        of: int (N,): the bag of each row, numbered in the order of their first rows.
        rule: how their outputs become one; "": each row is a bag.
        frames: (N,): the index of each slice in its volume.
    """

    of: np.ndarray
    rule: Pooling
    frames: np.ndarray

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
        """The rows of each bag, in the order of their frames."""
        order = np.lexsort((self.frames, self.of))
        return np.split(order, np.cumsum(np.bincount(self.of))[:-1])

    @property
    def weights(self) -> np.ndarray:
        """What makes each bag count the same, float64 (N,), of mean 1: the more rows in a bag, the less each."""
        counts = np.bincount(self.of)
        return len(self.of) / len(counts) / counts[self.of]

    def outputs(self, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return the outputs of the bags, (V, …), of those of the rows."""
        return pooled(outputs, self.of, self.rule, self.places) if self.rule else dict(outputs)

    @property
    def places(self) -> np.ndarray:
        """Where slices lie in their volumes, (N,) in 0–1; see `kmedtl.edge.pooling.along`."""
        return along(self.frames, self.of)

    def shares(self, outputs: Outputs) -> np.ndarray:
        """Return how much each row counts in the answer for its bag, (N,); see `kmedtl.edge.pooling.shares`."""
        return shares(outputs, self.of, self.rule, self.places)

    def known(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return what is known of each bag, (V, …), of arrays that say the same of all of its rows."""
        return {name: array[self.first] for name, array in arrays.items()} if self.rule else dict(arrays)

    def most(self, found: np.ndarray) -> np.ndarray:
        """Return which bags are what most of their rows are, bool (V,)."""
        return np.bincount(self.of, found) > np.bincount(self.of) / 2

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a row a bag, which goes by the name of its volume."""
        if not self.rule:
            return table
        first = table.iloc[self.first].reset_index(drop=True)
        return first.assign(id=first["volume"])


def bags_of(table: pd.DataFrame, rule: Pooling) -> Bags:
    """Return the bags of a part of a manifest's table: its volumes, or with the rule "" its rows."""
    if not rule:
        return Bags(np.arange(len(table)), rule, np.zeros(len(table)))
    return Bags(pd.factorize(table["volume"])[0], rule, pd.to_numeric(table["frame"]).to_numpy())


def check_known(table: pd.DataFrame, targets: Mapping[str, np.ndarray], rule: Pooling, source: str) -> None:
    """Refuse slices that disagree with others of their volume: its label would be none.

    Raises:
        UserError: the first such volume.
    """
    bags = bags_of(table, rule)
    for array in targets.values():
        apart = (array != array[bags.first][bags.of]).reshape(len(array), -1).any(axis=1)
        if apart.any():
            raise UserError(
                f"{source}: {table['volume'][apart].iloc[0]}: its slices have different labels; give a volume one, or "
                "save the slices as images."
            )

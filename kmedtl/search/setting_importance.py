"""Which settings the objective hung on, as far as a search's trials can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

FEWEST = 8  # trials below which nothing is said


@dataclass(frozen=True)
class Importance:
    """What varies the objective.

    Attributes:
        shares: path → its share of the importance, 0–1, largest first.
        explained: out-of-bag R² of the forest: near 0 or below it, the shares mean nothing.
    """

    shares: dict[str, float]
    explained: float


def importance(settings: pd.DataFrame, objective: Sequence[float], seed: int) -> Importance | None:
    """Return the permutation importance of each setting in a random forest from settings to objective.

    Source: Breiman, Random Forests (2001), section 10; what is permuted is a setting, its choices together.

    Args:
        settings: a row a trial, a column a setting.

    Returns:
        None for fewer than eight trials, or where all are equally good.
    """
    found = np.asarray(objective, dtype=float)
    if len(found) < FEWEST or np.ptp(found) == 0:
        return None
    coded = pd.DataFrame({name: _coded(column) for name, column in settings.items()})
    forest = RandomForestRegressor(200, min_samples_leaf=2, oob_score=True, random_state=seed).fit(coded, found)
    means = permutation_importance(forest, coded, found, n_repeats=20, random_state=seed).importances_mean
    shares = np.clip(means, 0, None)
    shares = shares / shares.sum() if shares.sum() else shares
    order = np.argsort(-shares, kind="stable")
    return Importance({settings.columns[i]: float(shares[i]) for i in order}, float(forest.oob_score_))


def _coded(column: pd.Series) -> np.ndarray:
    """Return numbers as they are, anything else as the code of its value."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.to_numpy(float)
    return pd.factorize(column.astype(str), sort=True)[0].astype(float)

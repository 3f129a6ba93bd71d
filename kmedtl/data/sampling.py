"""Which images an epoch draws."""

from __future__ import annotations

import numpy as np
import pandas as pd


def strata_of(table: pd.DataFrame, sampling: str) -> np.ndarray | None:
    """Return what `balanced` balances the rows of a split by; None where every row is drawn once."""
    return table["stratum"].to_numpy() if sampling == "balanced" else None


def balanced(strata: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return as many rows as there are, int (N,), those of each stratum as often as those of any other, shuffled.

    The rows of a stratum are all drawn before one is drawn again.

    Args:
        strata: (N,), of each row.
    """
    kinds, inverse = np.unique(strata, return_inverse=True)
    wanted = np.bincount(random.permutation(len(strata)) % len(kinds), minlength=len(kinds))
    drawn = [_draw(np.flatnonzero(inverse == kind), count, random) for kind, count in enumerate(wanted)]
    return random.permutation(np.concatenate(drawn))


def _draw(rows: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    rounds = -(-count // len(rows))
    return np.concatenate([random.permutation(rows) for _ in range(rounds)])[:count]

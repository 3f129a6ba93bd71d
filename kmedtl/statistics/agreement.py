"""How far two judgements agree: figures of a confusion matrix, and McNemar's test of two models on the same images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kmedtl.statistics.confidence import (
    Estimate,
    codes_of,
    leveraged,
    mean_patients,
    on_logit_scale,
    spread_by_patient,
    undefined,
)

STEP = 1e-3  # of a count, where a figure's derivative is taken
EXACT_UP_TO = 1_000  # images by which patients differ; beyond, the normal approximation is as good


def kappa(counts: np.ndarray, power: int = 0) -> np.ndarray:
    """Return Cohen's kappa of confusion matrices (..., K, K), −1 to 1; NaN where agreement by chance is certain.

    Args:
        power: how a disagreement of d grades weighs: d^power. 0: all the same; 1: linear; 2: quadratic.

    Source: Cohen, Psychological Bulletin 1968.
    """
    grades = np.arange(counts.shape[-1])
    distance = np.abs(grades[:, None] - grades).astype(float)
    weights = distance**power if power else distance > 0
    total = counts.sum(axis=(-2, -1))
    by_chance = counts.sum(axis=-1)[..., :, None] * counts.sum(axis=-2)[..., None, :]
    expected = (by_chance * weights).sum(axis=(-2, -1))
    observed = (counts * weights).sum(axis=(-2, -1)) * total
    return 1 - np.divide(observed, expected, out=np.full(np.shape(expected), np.nan), where=expected != 0)


def of_counts(
    figure: Callable[[np.ndarray], np.ndarray],
    truth: np.ndarray,
    called: np.ndarray,
    size: int,
    patients: np.ndarray,
    least: float = 0.0,
    among: Sequence[int] | None = None,
) -> Estimate:
    """Return a figure of the confusion matrix with its interval by patient, from its derivative by each cell.

    Args:
        figure: from counts (..., size, size), true class by decided class, to figures (...) from `least` to 1.
        truth, called: (N,) int, 0 to size − 1.
        among: classes whose patients carry the figure; None: all that are there.
    """
    cells = size * truth + called
    counts = np.bincount(cells, minlength=size**2).astype(float)
    steps = STEP * np.eye(size**2)
    values, above, below = (
        figure(some.reshape(-1, size, size)) for some in (counts[None], counts + steps, counts - steps)
    )
    value = float(values[0])
    if np.isnan(value):
        return undefined("one class only")
    carriers = np.unique(truth) if among is None else among
    clusters = mean_patients([len(np.unique(patients[truth == one])) for one in carriers])
    added = leveraged(((above - below) / (2 * STEP))[cells], patients, truth, weight=(1 - least) / len(carriers))
    return on_logit_scale(value, spread_by_patient(added, patients), clusters, "jackknife by patient", (least, 1.0))


@dataclass(frozen=True)
class McNemar:
    """Two models' decisions on the same images.

    Attributes:
        only_first, only_second: images that only that one decided rightly.
        p_value: two-sided, of no difference.
        method: how it was found.
    """

    only_first: int
    only_second: int
    p_value: float
    method: str

    def __str__(self) -> str:
        chance = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"
        return f"{self.only_first} : {self.only_second}, {chance}"


def mcnemar(first: np.ndarray, second: np.ndarray, patients: np.ndarray) -> McNemar:
    """Test whether two models decide rightly equally often.

    Were they alike, their names could be exchanged for any patient: a patient's difference in right decisions would
    have either sign by chance. Up to 1,000 images of difference the p-value is exact, counted over all signs, the
    observed value by half (mid-p). With one image a patient it is McNemar's exact test with mid-p (Fagerland,
    Lydersen & Laake, BMC Medical Research Methodology 2013). Beyond, the sum of differences is compared with the root
    of its sum of squares, as in McNemar's own test, by patient (Obuchowski, Statistics in Medicine 1998, with the
    variance under no difference).

    Args:
        first, second: (N,) bool, whether each decided rightly.
        patients: (N,).
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    gains = np.bincount(codes_of(patients), first.astype(int) - second.astype(int)).astype(int)
    sizes, observed = np.abs(gains[gains != 0]), abs(int(gains.sum()))
    exact = sizes.sum() <= EXACT_UP_TO
    p_value = _exact(sizes, observed) if exact else math.erfc(observed / math.sqrt(2 * float(sizes @ sizes)))
    method = "McNemar by patient, exact mid-p" if exact else "McNemar by patient"
    return McNemar(int((first & ~second).sum()), int((second & ~first).sum()), p_value, method)


def _exact(sizes: np.ndarray, observed: int) -> float:
    """Return the chance that sizes with random signs sum to more than `observed` in either direction, mid-p."""
    if observed == 0:
        return 1.0
    reach = int(sizes.sum())
    chances = np.zeros(2 * reach + 1)  # of each sum from −reach to reach
    chances[reach] = 1.0
    for size in sizes:
        chances = (np.roll(chances, size) + np.roll(chances, -size)) / 2
    beyond = chances[reach + observed + 1 :].sum() + chances[reach + observed] / 2
    return float(min(1.0, 2 * beyond))

"""A predictor's log over time beside validation: alarms at a stated rate of false ones.

The log is cut into windows of equal length. In each the scores are compared with validation's (Kolmogorov & Smirnov)
and images unlike those of training are counted; an alarm is a window in which either is less likely by chance than
half the rate of false alarms (Bonferroni).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import betabinom

from kmedtl.edge.adaptation.evidence import kolmogorov
from kmedtl.edge.adaptation.reference import Reference
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.tasks.classification.calibration import log_odds
from kmedtl.edge.tasks.classification.one_score import LEAST
from kmedtl.edge.tasks.task import OneScore
from kmedtl.errors import UserError
from kmedtl.statistics.out_of_distribution import PASSED, PASSED_LAYOUT

WINDOW, FALSE_ALARMS = 100, 0.001
FEWEST = 20  # answers of a window
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the scores that are drawn


@dataclass(frozen=True)
class Log:
    """N answers in the order of the log.

    Attributes:
        scores: (N,) log-odds of the finding; NaN where the model has none.
        unlike: (N,) 1, 0, or NaN where nothing tells.
        times: (N,) text as the log says, "" where it does not.
        errors: lines without an answer, which count for nothing.
    """

    scores: np.ndarray
    unlike: np.ndarray
    times: tuple[str, ...]
    errors: int

    def of(self, rows: slice) -> Log:
        """Return some of the answers."""
        return Log(self.scores[rows], self.unlike[rows], self.times[rows], 0)


@dataclass(frozen=True)
class Baseline:
    """What answers are compared with.

    Attributes:
        what: in words.
        below: log-odds (N,) → which share of the baseline scores no higher; None: there are no scores.
        images: how many independent ones that share is of.
        unlike, of: how many images of how many were unlike.
        quantiles: the scores at `LEVELS`.
        design: images that count as one in a window, being of one patient.
    """

    what: str
    below: Callable[[np.ndarray], np.ndarray] | None
    images: float
    unlike: float
    of: float
    quantiles: tuple[float, ...]
    design: float = 1.0


@dataclass(frozen=True)
class Window:
    """Some answers in a row.

    Attributes:
        number: of the window, from 1 on; `first`, `last` answer, from 1 on.
        start, end: times, as the log says.
        quantiles: of the scores at `LEVELS`.
        unlike: the share of images unlike those of training.
        p_scores, p_unlike: how likely they are by chance; 1 where there is nothing to compare.
        alarm: what differs, in words; empty: nothing.
    """

    number: int
    first: int
    last: int
    start: str
    end: str
    quantiles: tuple[float, ...]
    unlike: float
    p_scores: float
    p_unlike: float
    alarm: str


@dataclass(frozen=True)
class Drift:
    """A log beside its baseline.

    Attributes:
        finding: whose scores they are; empty: the model has none.
        rate: of false alarms a window.
    """

    windows: tuple[Window, ...]
    baseline: Baseline
    finding: str
    size: int
    rate: float
    errors: int
    left_over: int

    @property
    def alarms(self) -> list[Window]:
        return [window for window in self.windows if window.alarm]


def read_log(path: Path, info: ModelInfo) -> Log:
    """Return the answers of a file of JSON lines, as `kmedtl predict --format jsonl` writes them.

    Raises:
        UserError: a file that cannot be read, a line that is no such answer, or answers of another model.
    """
    score = info.task.one_score(info.decoder)
    try:
        with path.open(encoding="utf-8") as lines:
            documents = [_parsed(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected a file of JSON lines ({error}).") from None
    answered = [(number, document) for number, document in documents if not document.get("error")]
    return Log(
        np.array([_score(path, number, document, score) for number, document in answered], float),
        np.array([_unlike(document) for _, document in answered], float),
        tuple(str(document.get("time") or "") for _, document in answered),
        len(documents) - len(answered),
    )


def drift(log: Log, info: ModelInfo, first: int | None = None, size: int = WINDOW, rate: float = FALSE_ALARMS) -> Drift:
    """Compare a log with validation, or with its own first answers.

    Args:
        first: so many answers are the baseline, and are not judged; None: validation is.
        size: of a window; what is left over at the end is not judged.
        rate: of false alarms: the chance of one in a window in which nothing drifted.

    Raises:
        UserError: a model that does not say how validation looked, or too few answers.
    """
    score = info.task.one_score(info.decoder)
    if first is None:
        baseline, rest, skipped = _of_validation(info, score), log, 0
    else:
        baseline, rest, skipped = _of_log(log.of(slice(0, first)), first), log.of(slice(first, None)), first
    count = len(rest.scores) // size
    if not count:
        raise UserError(f"expected {skipped + size} answers or more. Received: {len(log.scores)}; see --window.")
    windows = tuple(
        _window(number, skipped + number * size, rest.of(slice(number * size, (number + 1) * size)), baseline, rate)
        for number in range(count)
    )
    finding = score.names[1] if score else ""
    return Drift(windows, baseline, finding, size, rate, log.errors, len(rest.scores) - count * size)


def _parsed(path: Path, number: int, line: str) -> tuple[int, dict]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or "image" not in document:
        raise UserError(f"{path}: line {number}: expected an answer as `kmedtl predict --format jsonl` writes it.")
    return number, document


def _score(path: Path, number: int, document: dict, score: OneScore | None) -> float:
    if score is None:
        return math.nan
    found = (document.get("probabilities") or {}).get(score.names[1])
    if not isinstance(found, int | float) or not 0 <= found <= 1:
        raise UserError(
            f"{path}: line {number}: has no probability of {score.names[1]}; is --model the model that wrote it?"
        )
    return float(log_odds(np.array(found), "binary", LEAST))


def _unlike(document: dict) -> float:
    told = document.get("out_of_distribution")
    return math.nan if told is None else float(told)


def _of_validation(info: ModelInfo, score: OneScore | None) -> Baseline:
    look = info.validation
    if look is None or score is None:
        raise UserError(
            "--model: does not say how its validation looked, as of an adapted file, of another question than yes or "
            "no or of an older kmedtl; --first 500 takes the first answers of the log for what is usual."
        )
    most = float(log_odds(np.array(1.0), "binary", LEAST))
    negative, positive = (
        replace(one, scores=tuple(np.clip(score.log_odds(np.array(one.scores)), -most, most).tolist()))
        for one in (look.negative, look.positive)
    )
    seen: Reference = replace(look, negative=negative, positive=positive)
    expected = look.patients * ((1 - PASSED) + (1 - PASSED_LAYOUT))
    quantiles = tuple(seen.quantiles(np.array(LEVELS), look.share).tolist())
    return Baseline(
        f"validation ({look.images} images)",
        lambda scores: seen.below(scores, look.share),
        look.patients,
        expected,
        look.patients,
        quantiles,
        look.images_a_patient,
    )


def _of_log(log: Log, first: int) -> Baseline:
    if len(log.scores) < max(first, FEWEST):
        raise UserError(
            f"--first: expected {FEWEST} answers or more, and as many in the log. Received: {len(log.scores)}."
        )
    known, told = np.sort(log.scores), ~np.isnan(log.unlike)
    has_scores = not np.isnan(known).any()
    return Baseline(
        f"the first {first} answers",
        (lambda scores: np.searchsorted(known, scores, side="right") / len(known)) if has_scores else None,
        len(known),
        float(log.unlike[told].sum()),
        float(told.sum()),
        tuple(np.quantile(known, LEVELS).tolist()) if has_scores else (),
    )


def _window(number: int, before: int, log: Log, baseline: Baseline, rate: float) -> Window:
    count = len(log.scores)
    by_scores = _p_scores(log.scores, baseline) if baseline.below else 1.0
    told = log.unlike[~np.isnan(log.unlike)]
    by_unlike = _p_unlike(int(told.sum()), len(told), baseline) if len(told) and baseline.of else 1.0
    alarms = {"scores": by_scores, "images unlike those of training": by_unlike}
    return Window(
        number + 1,
        before + 1,
        before + count,
        log.times[0],
        log.times[-1],
        tuple(np.quantile(log.scores, LEVELS).tolist()) if baseline.below else (),
        float(told.mean()) if len(told) else math.nan,
        by_scores,
        by_unlike,
        ", ".join(name for name, p in alarms.items() if p < rate / 2),
    )


def _p_scores(scores: np.ndarray, baseline: Baseline) -> float:
    assert baseline.below
    ordered, count = np.sort(scores), len(scores)
    last = np.searchsorted(ordered, ordered, side="right") / count  # of equal scores the last counts
    expected = baseline.below(ordered)
    before = np.searchsorted(ordered, ordered, side="left") / count
    just_below = baseline.below(np.nextafter(ordered, -np.inf))
    distance = max(np.abs(last - expected).max(), np.abs(before - just_below).max())
    effective = count / baseline.design
    return kolmogorov(distance * math.sqrt(effective * baseline.images / (effective + baseline.images)))


def _p_unlike(found: int, count: int, baseline: Baseline) -> float:
    """Return the chance of as many unlike images or more, the share being known from the baseline alone.

    The beta-binomial distribution, of a share whose prior is flat.
    """
    found, count = round(found / baseline.design), max(1, round(count / baseline.design))
    return float(betabinom.sf(found - 1, count, baseline.unlike + 1, baseline.of - baseline.unlike + 1))

"""A yes-or-no question as one score: what its decoder decides by, and decoders that decide otherwise. NumPy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from kmedtl.edge.tasks.classification.calibration import Calibration, log_odds, probabilities, sigmoid
from kmedtl.edge.tasks.task import OneScore

LOGITS = "logits"
LEAST = 1e-9  # a probability, from 0 and from 1, so that log-odds are finite


def one_score(decoder: Any) -> OneScore | None:
    """Return the score of a `ClassDecoder` whose question is binary; None of any other."""
    if decoder.labels != "binary":
        return None
    calibration, (finding,) = decoder.calibration, decoder.findings
    other = decoder.classes[0] if len(decoder.classes) == 2 else f"no {finding}"

    def changed(calibration: Calibration, threshold: float) -> Any:
        return replace(decoder, calibration=calibration, thresholds=(float(sigmoid(np.array(threshold))),))

    return OneScore(
        names=(other, finding),
        output=LOGITS,
        log_odds=_log_odds(calibration),
        threshold=float(_of_probabilities(np.array(decoder.thresholds))[0]),
        line=lambda scale, shift, threshold: changed(_on_a_line(calibration, scale, shift), threshold),
        aligned=lambda scores, odds, threshold: changed(_through(scores, odds), threshold),
    )


def _log_odds(calibration: Calibration) -> Callable[[np.ndarray], np.ndarray]:
    if calibration.method == "isotonic":
        return lambda scores: _of_probabilities(probabilities(scores[:, None], calibration)[:, 0])
    (scale,), (bias,) = calibration.scale, calibration.bias
    return lambda scores: np.asarray(scores, np.float64) * scale + bias


def _of_probabilities(found: np.ndarray) -> np.ndarray:
    return log_odds(np.clip(found, LEAST, 1 - LEAST), "binary", LEAST)


def _on_a_line(calibration: Calibration, scale: float, shift: float) -> Calibration:
    if calibration.method == "isotonic":
        scores, found = np.transpose(calibration.knots[0])
        return _through(scores, scale * _of_probabilities(found) + shift)
    (old_scale,), (old_bias,) = calibration.scale, calibration.bias
    return replace(calibration, method="vector", scale=(old_scale * scale,), bias=(old_bias * scale + shift,))


def _through(scores: np.ndarray, odds: np.ndarray) -> Calibration:
    found = np.clip(sigmoid(np.maximum.accumulate(odds)), LEAST, 1 - LEAST)
    knots = tuple(zip(scores.tolist(), found.tolist(), strict=True))
    return Calibration("isotonic", "binary", (1.0,), (0.0,), (knots,))

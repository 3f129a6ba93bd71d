"""What is done about images that differ from validation: which decoder a model gets, or why it gets none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmedtl.edge.adaptation import from_labels
from kmedtl.edge.adaptation.alignment import aligned
from kmedtl.edge.adaptation.evidence import IN_WORDS, Kind, Verdict, verdict
from kmedtl.edge.adaptation.from_labels import Line, shift_of
from kmedtl.edge.adaptation.reference import Reference
from kmedtl.edge.tasks.task import OneScore
from kmedtl.errors import UserError

FEWEST, FEWEST_LABELS, FEWEST_OF_A_CLASS = 50, 25, 3
ROUGHLY = 0.05  # to which a refusal says how many labels would tell the balanced accuracy
STAYS, IS_SHARE = "cost", "balanced"  # rules whose threshold does not move with the share of the finding, or is it


@dataclass(frozen=True)
class Site:
    """N images of another hospital, as a model sees them.

    Attributes:
        scores: (N,), uncalibrated.
        places: (N, K + 1), coordinates of their features; K + 1 may be 0.
        labels: (N,): 1, 0 or −1, unknown.
        patients: (N,) text.
    """

    scores: np.ndarray
    places: np.ndarray
    labels: np.ndarray
    patients: np.ndarray

    @property
    def known(self) -> int:
        """How many are labelled."""
        return int((self.labels >= 0).sum())


@dataclass(frozen=True)
class Decision:
    """What is to be done.

    Attributes:
        decoder: the new one; None: the old one stays.
        done: what was done, in words.
        reasons: how it was told what shifted, a sentence each.
    """

    kind: Kind
    decoder: Any
    done: str
    reasons: tuple[str, ...]


def decide(
    look: Reference, score: OneScore, site: Site, prevalence: float | None = None, bootstrap: bool = True
) -> Decision:
    """Choose a decoder for a site by what its images, labels and a given prevalence say.

    Args:
        bootstrap: judge a decoder by the labels that it was fitted to, among the reasons.

    Raises:
        UserError: too few images or labels, or both shifted and neither labels nor a prevalence are given.
    """
    _check(site)
    found = verdict(look, site.scores, site.places)
    if site.known:
        return _by_labels(look, score, site, found, prevalence, bootstrap)
    if found.kind == "nothing":
        return Decision("nothing", None, "", found.reasons)
    if found.kind == "prevalence":
        share, source = (found.share.value, "estimated") if prevalence is None else (prevalence, "given")
        return _at_share(look, score, found, share, source)
    if found.kind == "both" and prevalence is None:
        raise UserError(_refusal(look, found))
    share = _mixed(found, look.share if prevalence is None else prevalence)
    shift = 0.0 if prevalence is None else shift_of(look.share, prevalence)
    here, there = aligned(look, site.scores, share)
    at = _threshold(look, score.threshold, score.threshold, shift, look.share if prevalence is None else prevalence)
    done = "scores aligned with validation's, quantile by quantile"
    done += f", probabilities for a prevalence of {prevalence:.2f} (given)" if prevalence is not None else ""
    return Decision(found.kind, score.aligned(here, score.log_odds(there) + shift, at), done, found.reasons)


def _mixed(found: Verdict, expected: float) -> float:
    """Return the share of the finding among the very images that are aligned, which chance makes another than expected.

    Half way between the expected one and the one that the shape of their scores speaks for, unless these contradict
    each other: then the shape is lost, and the expected one counts.
    """
    return (found.share.value + expected) / 2 if found.share.low <= expected <= found.share.high else expected


def _check(site: Site) -> None:
    if 0 < site.known < FEWEST_LABELS:
        raise UserError(
            f"--labels: expected {FEWEST_LABELS} labelled images or more, as fewer move a threshold by chance. "
            f"Received: {site.known}; label {FEWEST_LABELS - site.known} more, or leave --labels out."
        )
    counts = [int((site.labels == label).sum()) for label in (0, 1)]
    if site.known and min(counts) < FEWEST_OF_A_CLASS:
        raise UserError(
            f"--labels: expected {FEWEST_OF_A_CLASS} images with the finding or more, and as many without. "
            f"Received: {counts[1]} with, {counts[0]} without; label more of the rarer."
        )
    if not site.known and len(site.scores) < FEWEST:
        raise UserError(
            f"--data: expected {FEWEST} images or more, as fewer show no shift, or {FEWEST_LABELS} with --labels. "
            f"Received: {len(site.scores)}."
        )


def _refusal(look: Reference, found: Verdict) -> str:
    balanced = from_labels.needed(0.9, 0.9, look.share, wanted=ROUGHLY)
    return (
        f"{IN_WORDS[found.kind]}, and without labels neither can be told from the other. Give --labels of "
        f"{FEWEST_LABELS} images or more ({balanced} tell the balanced accuracy to within {100 * ROUGHLY:.0f} points), "
        f"or --prevalence if it is known. ({' '.join(found.reasons)})"
    )


def _by_labels(
    look: Reference, score: OneScore, site: Site, found: Verdict, prevalence: float | None, bootstrap: bool
) -> Decision:
    known = site.labels >= 0
    scores, labels, patients = site.scores[known], site.labels[known], site.patients[known]
    old = from_labels.of_validation(look, score)
    new = from_labels.fitted(look, score, old, scores, labels)
    shifted = found.kind in ("acquisition", "both") or from_labels.objects(look, score, old, new, scores, labels)
    share = from_labels.share_of(look, labels) if prevalence is None else prevalence
    shift, source = shift_of(look.share, share), "of the labels" if prevalence is None else "given"
    if not shifted:
        return _of_prevalence(look, score, found, share, source)
    kind: Kind = "acquisition" if found.kind in ("nothing", "acquisition") else "both"
    told = _judged(look, score, old, new, scores, labels, patients) if bootstrap else ()
    done = f"calibration and threshold from {len(labels)} labels, prevalence {share:.2f} ({source})"
    return Decision(kind, _on(look, score, new, shift, share), done, (*found.reasons, *told))


def _judged(*known: Any) -> tuple[str]:
    """Return in words what `from_labels.judged` says."""
    told = from_labels.judged(*known)
    return (
        f"Of the labels: balanced accuracy {_interval(told.balanced_accuracy)}, threshold as at probability "
        f"{_interval(told.threshold)} before; {told.more} labels more would tell the accuracy to within 2 points.",
    )


def _of_prevalence(look: Reference, score: OneScore, found: Verdict, share: float, source: str) -> Decision:
    """Return what is done where the labels find nothing wrong with the old calibration but for the share."""
    if found.kind == "nothing":
        reason = "The labels do not object to calibration and threshold either."
        return Decision("nothing", None, "", (*found.reasons, reason))
    return _at_share(look, score, found, share, source)


def _at_share(look: Reference, score: OneScore, found: Verdict, share: float, source: str) -> Decision:
    """Return the old calibration with its probabilities for another share of the finding."""
    shift = shift_of(look.share, share)
    decoder = score.line(1.0, shift, _threshold(look, score.threshold, score.threshold, shift, share))
    return Decision("prevalence", decoder, f"probabilities for a prevalence of {share:.2f} ({source})", found.reasons)


def _on(look: Reference, score: OneScore, line: Line, shift: float, share: float) -> Any:
    at = _threshold(look, score.threshold, line.old_height, shift, share)
    return score.line(line.slope, line.height - line.slope * line.at + shift, at)


def _threshold(look: Reference, before: float, calibrated: float, shift: float, share: float) -> float:
    """Return the threshold in log-odds by the old rule, where the log-odds of images that look alike rose by `shift`.

    A rule of sensitivity and specificity decides of such images as before; costs decide by the probability, whatever
    the share; `balanced` is the share.

    Args:
        before, calibrated: the old threshold, as the old decoder and as the new calibration tells it.
    """
    if look.rule.startswith(STAYS):
        return before
    return math.log(share / (1 - share)) if look.rule.startswith(IS_SHARE) else calibrated + shift


def _interval(figure: tuple[float, float, float]) -> str:
    return f"{figure[0]:.2f} ({figure[1]:.2f}–{figure[2]:.2f})"

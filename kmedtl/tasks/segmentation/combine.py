"""How the masks of several models become one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kmedtl.edge.tasks.mask_decoder import HIGHEST, MaskDecoder
from kmedtl.edge.tasks.segmentation import MASK, probabilities
from kmedtl.edge.tasks.task import Outputs
from kmedtl.tasks.segmentation.question import MaskQuestion
from kmedtl.tasks.task import Examples, Vote

CERTAIN = 0.1 / HIGHEST  # no nearer to 0 or 1 does a mean come, so that its logit is finite


def combine(
    question: MaskQuestion,
    method: str,
    weights: Sequence[float],
    outputs: Sequence[Outputs],
    decoders: Sequence[MaskDecoder],
) -> dict[str, np.ndarray]:
    """Return the logits, float32 (N, h, w, M), of the weighted mean of the members' probabilities."""
    mean = sum(weight * probabilities(one) for weight, one in zip(weights, outputs, strict=True)) / sum(weights)
    share = np.clip(mean, CERTAIN, 1 - CERTAIN)
    return {MASK: np.log(share / (1 - share)).astype(np.float32)}


def fit(
    question: MaskQuestion,
    method: str,
    members: Sequence[Examples],
    decoders: Sequence[MaskDecoder],
    validation: np.ndarray,
    seed: int,
) -> tuple[Outputs, tuple[float, ...]]:
    """Return the outputs together, and equal weights: nothing is chosen."""
    weights = (1 / len(members),) * len(members)
    return combine(question, method, weights, [member.outputs for member in members], decoders), weights


VOTE = Vote({"mean": "the mean of the members' probabilities of each pixel"}, fit, combine)

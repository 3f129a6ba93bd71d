"""What a model file says of how validation looked to it."""

from __future__ import annotations

from typing import Any

from kmedtl.edge.adaptation.reference import Reference, reference
from kmedtl.edge.out_of_distribution import OutOfDistribution
from kmedtl.edge.shapes import FEATURES
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Examples


def look_of(validation: Examples, decoder: Any, rule: str, kind: OutOfDistribution | None) -> Reference | None:
    """Return how validation looks to a model; None of a decoder that does not decide by one score.

    Args:
        validation: with the model's outputs, features among them.
        rule: by which the decoder's operating point was chosen.
        kind: what tells images of another kind by their features.
    """
    score = task_of(decoder).edge.one_score(decoder)
    if score is None:
        return None
    scores, labels = validation.outputs[score.output][:, 0], validation.targets[score.output][:, 0]
    return reference(scores, labels, validation.patients, rule, kind, validation.outputs.get(FEATURES))

"""Several models beside the one that was made of them, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kmedtl.ensemble.members import Member
from kmedtl.recipe import Evaluation
from kmedtl.statistics.confidence import Estimate
from kmedtl.tasks.task import Examples


@dataclass(frozen=True)
class MemberComparison:
    """One run beside what was made of it and others.

    Attributes:
        figure: the task's headline, such as `auc`.
        alone: that of the run.
        gain: that of what was made minus that of the run, on the same images.
    """

    run: str
    figure: str
    alone: Estimate
    gain: Estimate


def member_comparisons(
    members: Sequence[Member], made: Examples, decoder: Any, settings: Evaluation
) -> tuple[MemberComparison, ...]:
    """Return each run beside what was made of them all, on the images of the test.

    Args:
        made, decoder: the test of what was made, and its decoder.
    """
    found = []
    for member in members:
        task, own, test = member.task, member.info.decoder, member.examples("test")
        figures = task.figures(member.question, replace(settings, groups=()), test, own)
        gain = task.gain(member.question, made, [test], decoder, own)
        found.append(MemberComparison(str(member.folder), figures.headline, figures.estimates[figures.headline], gain))
    return tuple(found)

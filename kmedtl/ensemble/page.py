"""The page of runs that vote: what they say together, and each of them beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import kmedtl
from kmedtl.ensemble.member_comparison import MemberComparison
from kmedtl.files import html
from kmedtl.recipe import Recipe, without_folders
from kmedtl.system.text_tables import aligned
from kmedtl.system.titles import title
from kmedtl.tasks.summary import no_better_than_chance
from kmedtl.tasks.task import Evaluation, Fit, Task


def write(
    recipe: Recipe,
    task: Task,
    method: str,
    beside: Sequence[MemberComparison],
    fit: Fit,
    evaluation: Evaluation,
    notice: str,
    folder: Path,
) -> None:
    """Write `plots/` and the self-contained `report.html` into `folder`.

    Args:
        method: in words.
    """
    pictures = task.curves(evaluation)
    html.write(
        folder / "report.html",
        Path(__file__).with_name("ensemble.html"),
        recipe=without_folders(recipe),
        method=method,
        beside=beside,
        evaluation=evaluation,
        rule=[sentence for _, sentence in task.edge.in_words(fit.decoder)],
        notes=task.lines(recipe.evaluation, fit, evaluation),
        notice=notice,
        pictures=html.save_plots({name: picture.figure for name, picture in pictures.items()}, folder / "plots"),
        shown=pictures,
        title=title,
        chance=no_better_than_chance(evaluation, task.chance),
        version=kmedtl.__version__,
    )


def lines(beside: Sequence[MemberComparison]) -> list[str]:
    """Return a table of the runs beside what was made of them."""
    header = ["Run", f"{title(beside[0].figure)} alone", "Gain of what was made of them"]
    rows = [[one.run, str(one.alone), _signed(one)] for one in beside]
    return aligned([header, *rows])


def _signed(one: MemberComparison) -> str:
    gain = one.gain
    if gain.value != gain.value:
        return str(gain)
    return f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"

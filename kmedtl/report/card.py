"""The model card: what a run knows of its model, and marked blanks for what only a person knows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from kmedtl.files import html
from kmedtl.recipe import without_folders
from kmedtl.report.page import drift_cell, split_rows, stage_rows
from kmedtl.system.titles import title
from kmedtl.tasks.summary import no_better_than_chance

if TYPE_CHECKING:
    from kmedtl.runs.result import Result

NAME = "model_card.md"
MARKS = re.compile(r"([\\`*_{}\[\]#+!|~])")


def write(result: Result, folder: Path) -> None:
    """Write `model_card.md` into `folder`.

    Its first part has the fields of a model card (Mitchell et al., Model Cards for Model Reporting, 2019, section 4),
    its second the items of MI-CLAIM (Norgeot et al., Nature Medicine 2020, table 1).
    """
    result = replace(result, recipe=without_folders(result.recipe))
    parts = result.task.report(result)
    html.write(
        folder / NAME,
        parts.templates / parts.card,
        search=(Path(__file__).parent,),
        report=result,
        splits=split_rows(result.manifest),
        stages=stage_rows(result.trained),
        title=title,
        chance=no_better_than_chance(result.evaluation, result.task.chance),
        drift_titles=result.task.drift_titles,
        drift_cell=drift_cell,
        plain=plain,
        **parts.context,
    )


def plain(text: object) -> Markup:
    """Return text that Markdown shows as it is: on one line, no markup, no HTML."""
    return Markup(MARKS.sub(r"\\\1", str(escape(" ".join(str(text).split())))))

"""The model card: what a run knows of its model, and marked blanks for what only a person knows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from markupsafe import Markup, escape

from kmedtl.files import html
from kmedtl.recipe import without_folders
from kmedtl.report.content import Report
from kmedtl.report.page import split_rows, stage_rows
from kmedtl.tasks.classification.summary import no_better_than_chance, title, too_few

NAME = "model_card.md"
MARKS = re.compile(r"([\\`*_{}\[\]#+!|~])")


def write(report: Report, folder: Path) -> None:
    """Write `model_card.md` into `folder`.

    Its first part has the fields of a model card (Mitchell et al., Model Cards for Model Reporting, 2019, section 4),
    its second the items of MI-CLAIM (Norgeot et al., Nature Medicine 2020, table 1).
    """
    html.write(
        folder / NAME,
        Path(__file__).with_name(NAME),
        report=replace(report, recipe=without_folders(report.recipe)),
        splits=split_rows(report.manifest),
        stages=stage_rows(report.trained),
        title=title,
        chance=no_better_than_chance(report.metrics.estimates, report.metrics.patients),
        too_few=too_few(report.judgement.groups),
        plain=plain,
    )


def plain(text: object) -> Markup:
    """Return text that Markdown shows as it is: on one line, no markup, no HTML."""
    return Markup(MARKS.sub(r"\\\1", str(escape(" ".join(str(text).split())))))

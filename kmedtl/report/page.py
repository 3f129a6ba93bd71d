"""The page that a radiologist and a reviewer read: one HTML file with everything inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import pandas as pd
import yaml

from kmedtl import config
from kmedtl.data.manifest import SPLITS, Manifest
from kmedtl.edge.heat_map import COLOURS
from kmedtl.files import html
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.recipe import without_folders
from kmedtl.report.content import Report
from kmedtl.tasks.classification import figures, thresholds
from kmedtl.tasks.classification.natural_frequencies import of_hundred, share
from kmedtl.tasks.classification.summary import no_better_than_chance, title, too_few

NAME = "report.html"


@dataclass(frozen=True)
class SplitRow:
    """A split as the report counts it; `members`: images of each class."""

    name: str
    patients: int
    images: int
    members: tuple[int, ...]


@dataclass(frozen=True)
class StageRow:
    """A stage as it turned out: its epochs, its best validation AUC (0–1), and seconds of training."""

    name: str
    train: str
    lr: str
    optimizer: str
    epochs: int
    auc: float
    seconds: float


def write(report: Report, folder: Path) -> None:
    """Write `plots/` and the self-contained `report.html` into `folder`; no path in it tells where the images lie."""
    report = replace(report, recipe=without_folders(report.recipe))
    pictures = figures.draw(report)
    drawn = html.save_plots({name: picture.figure for name, picture in pictures.items()}, folder / "plots")
    choices = thresholds.choices(report.test, report.settled.thresholds, report.recipe.evaluation.prevalence)
    html.write(
        folder / NAME,
        Path(__file__).with_name("report.html"),
        report=report,
        pictures=drawn,
        words={name: picture.words for name, picture in pictures.items()},
        hundreds=[of_hundred(finding, estimates) for finding, estimates in report.by_finding.items()],
        choices=choices,
        document=thresholds.document(choices),
        splits=split_rows(report.manifest),
        stages=stage_rows(report.trained),
        tiles=[(why, list(tiles)) for why, tiles in groupby(report.tiles, lambda tile: tile.case.why)],
        settings=yaml.safe_dump(config.to_dict(report.recipe), sort_keys=False, allow_unicode=True),
        title=title,
        chance=no_better_than_chance(report.metrics.estimates, report.metrics.patients),
        too_few=too_few(report.judgement.groups),
        share=share,
        address=html.address,
        colours=[f"rgb({red},{green},{blue})" for red, green, blue in COLOURS],
    )


def split_rows(manifest: Manifest) -> list[SplitRow]:
    """Return a row a split, in the order of their use."""
    parts = {split: manifest.table[manifest.table["split"] == split] for split in SPLITS}
    return [
        SplitRow(split, _patients(part), len(part), tuple(int(rows.sum()) for rows in manifest.members(part).values()))
        for split, part in parts.items()
    ]


def stage_rows(trained: Checkpoint | None) -> list[StageRow]:
    """Return a row a stage that trained."""
    if trained is None:
        return []
    rows = []
    for stage in trained.stages:
        epochs = [epoch for epoch in trained.history if epoch.stage == stage.name and epoch.alpha == 1]
        best = max((epoch.val_auc for epoch in epochs), default=float("nan"))
        seconds = sum(epoch.seconds for epoch in epochs)
        rate = f"{stage.lr:.2g}" if isinstance(stage.lr, float) else str(stage.lr)
        rows.append(StageRow(stage.name, stage.train, rate, stage.optimizer, len(epochs), best, seconds))
    return rows


def _patients(part: pd.DataFrame) -> int:
    return int(part["patient"].nunique())

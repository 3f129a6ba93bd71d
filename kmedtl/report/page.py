"""The page that a radiologist and a reviewer read: one HTML file with everything inside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml
from markupsafe import Markup

from kmedtl import config
from kmedtl.data.manifest import SPLITS, Manifest
from kmedtl.edge.heat_map import COLOURS
from kmedtl.edge.tasks.multi import part_of
from kmedtl.files import html
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.recipe import without_folders
from kmedtl.report import slices, training
from kmedtl.system.titles import title
from kmedtl.tasks.summary import no_better_than_chance
from kmedtl.tasks.task import ReportParts, Section

if TYPE_CHECKING:
    from kmedtl.runs.result import Result

NAME = "report.html"
SHARES = {"flips": 1, "pixels_changed": 2}  # figures of drift that are shares → decimals of a percentage
BEFORE = (Section("summary", "Summary"), Section("data", "Data and audit"), Section("training", "Training"))
UPDATE = Section("update", "The update")  # of a run that began with another
FIELDS = Section("fields", "Image and fields")  # of models that take any
VIEWS = Section("views", "What each view adds")  # of models that answer examinations
SLICES = Section("slices", "Slices along the axis")  # of models that answer volumes
AFTER = (
    Section("explanations", "Explanations"),
    Section("files", "Exported files"),
    Section("limits", "Limits and intended use"),
    Section("reproduction", "Reproduction"),
)


@dataclass(frozen=True)
class SplitRow:
    """A split as the report counts it; `members`: images of each class."""

    name: str
    patients: int
    images: int
    members: tuple[int, ...]


@dataclass(frozen=True)
class StageRow:
    """A stage as it turned out: its epochs, its best headline figure of validation, and seconds of training."""

    name: str
    train: str
    lr: str
    optimizer: str
    epochs: int
    headline: float
    seconds: float


def write(result: Result, folder: Path) -> None:
    """Write `plots/` and the self-contained `report.html` into `folder`; no path in it tells where the images lie."""
    result = replace(result, recipe=without_folders(result.recipe))
    task, parts = result.task, result.task.report(result)
    pictures = dict(training.draw(result.trained)) | parts.pictures | dict(slices.draw(result.slices))
    told = {FIELDS: result.ablation, VIEWS: result.views, SLICES: result.slices}
    more = [section for section, found in told.items() if found]
    headline = result.trained.history[0].figures if result.trained and result.trained.history else {"": 0}
    addresses = html.save_plots({name: picture.figure for name, picture in pictures.items()}, folder / "plots")
    words = {name: picture.words for name, picture in pictures.items()}
    html.write(
        folder / NAME,
        Path(__file__).with_name("report.html"),
        search=(parts.templates,),
        report=result,
        parts=parts,
        fragments=[_fragment(*part, addresses, words) for part in parts.of_tasks],
        at="",
        of="",
        contents=[*BEFORE[:1], *([UPDATE] if result.update else []), *BEFORE[1:], *parts.sections, *more, *AFTER],
        asked=", ".join(result.manifest.classes) or task.edge.in_words(result.fit.decoder)[0][1],
        validated=title(next(iter(headline)).removeprefix("val_")),
        pictures=addresses,
        words=words,
        splits=split_rows(result.manifest),
        stages=stage_rows(result.trained),
        tiles=[(why, list(tiles)) for why, tiles in groupby(result.tiles, lambda tile: tile.case.why)],
        settings=yaml.safe_dump(config.to_dict(result.recipe), sort_keys=False, allow_unicode=True),
        title=title,
        chance=no_better_than_chance(result.evaluation, task.chance),
        drift_titles=task.drift_titles,
        drift_cell=drift_cell,
        address=html.address,
        colours=[f"rgb({red},{green},{blue})" for red, green, blue in COLOURS],
        **parts.context,
    )


def _fragment(
    name: str, result: Result, parts: ReportParts, addresses: Mapping[str, str], words: Mapping[str, str]
) -> Markup:
    """Return what one of several tasks adds to the page: its own sections, with its name in anchors and headings."""
    return html.render(
        Path(__file__).with_name("task.html"),
        search=(parts.templates,),
        report=result,
        parts=parts,
        at=f"{name}-",
        of=f"{name}: ",
        pictures=part_of(name, addresses),
        words=part_of(name, words),
        title=title,
        **parts.context,
    )


def drift_cell(name: str, value: float) -> str:
    """Return how a table shows a figure of drift: shares as percentages."""
    if math.isnan(value):
        return "–"
    figure = name.rpartition(".")[2]  # before it stands the task, where there are several
    return f"{value:.{SHARES[figure]}%}" if figure in SHARES else f"{value:.1e}"


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
        best = max((epoch.headline for epoch in epochs), default=float("nan"))
        seconds = sum(epoch.seconds for epoch in epochs)
        rate = f"{stage.lr:.2g}" if isinstance(stage.lr, float) else str(stage.lr)
        rows.append(StageRow(stage.name, stage.train, rate, stage.optimizer, len(epochs), best, seconds))
    return rows


def _patients(part: pd.DataFrame) -> int:
    return int(part["patient"].nunique())

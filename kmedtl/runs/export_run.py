"""A finished run exported again: its images are read from the original files, as whoever uses the files will."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from kmedtl.data.bags import bags_of, name_of_bag
from kmedtl.data.manifest import Manifest
from kmedtl.data.tabular import encoded
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.shapes import FEATURES, ModelInputs
from kmedtl.errors import UserError
from kmedtl.explain.features import outputs_and_features
from kmedtl.export.exporting import LabelledImages, TrainedModel, export
from kmedtl.export.footprint import Footprint, footprint
from kmedtl.export.parity import Parity
from kmedtl.export.provenance import hashes
from kmedtl.export.runtimes import load_keras
from kmedtl.files.csv_tables import read_csv
from kmedtl.files.json_files import write_json
from kmedtl.images.background import is_background, without_say
from kmedtl.images.decode import decode_all
from kmedtl.images.reading import Reading
from kmedtl.report.page import drift_cell
from kmedtl.runs.fusion import FUSIONS
from kmedtl.runs.prepare import ask, labels_of, loader_of
from kmedtl.runs.reopen import FinishedRun
from kmedtl.runs.run_folder import REJECTED
from kmedtl.system.progress import progress
from kmedtl.system.text_tables import aligned
from kmedtl.system.titles import title
from kmedtl.tasks.task import Fit

THREADS = (1, 2)
TABLE, METRICS = "parity.json", "metrics.json"


@dataclass(frozen=True)
class Exported:
    """What became of an export: a row a file, and what each needs; a rejected file's row says why.

    Attributes:
        titles: of the task's drift figures.
    """

    rows: tuple[Parity, ...]
    footprints: tuple[Footprint, ...]
    titles: Mapping[str, str]

    @property
    def rejected(self) -> tuple[Parity, ...]:
        return tuple(row for row in self.rows if row.failed_gates)


def export_run(run: FinishedRun, formats: Sequence[str], folder: Path, log: Callable[[str], None]) -> Exported:
    """Write a run's files into `folder`, measure each, and set apart those that miss the recipe's gate.

    Args:
        log: receives what a person should know: test images that the source no longer has.

    Raises:
        UserError: a source without the run's images, a model that does not load.
    """
    subject = trained_model(run, log, quantized="int8" in formats)
    rows = export(subject, folder, formats, thorough=True)
    footprints = tuple(
        footprint(folder / row.file, threads, run.info.size, run.info.channels)
        for row in progress([row for row in rows if row.runs], "Measuring", unit="file")
        for threads in THREADS
    )
    for row in rows:
        if row.failed_gates and row.runs:
            (folder / row.file).rename(folder / f"{row.file}{REJECTED}")
    document = {"files": [row.document() for row in rows], "footprints": [asdict(found) for found in footprints]}
    write_json(folder / TABLE, document)
    return Exported(rows, footprints, run.task.drift_titles)


def trained_model(run: FinishedRun, log: Callable[[str], None], quantized: bool = True) -> TrainedModel:
    """Return a run's model with its images, read from their files, as an export needs them.

    Args:
        log: receives what a person should know: test images that the source no longer has.
        quantized: training images are needed.

    Raises:
        UserError: a source without the run's images, a model that does not load.
    """
    data = run.recipe.data
    _, manifest = ask(run.recipe, loader_of(run.recipe)(data, run.recipe.seed, labels_of(run.recipe.task)))
    listed = read_csv(run.folder / "manifest.csv", keep_default_na=False, dtype=str)
    files = manifest.table.set_index("id")
    training = files.loc[files.index.intersection(pd.Index(listed.loc[listed["split"] == "train", "id"]))]
    if quantized:
        _refuse_without(training, run)
    model = load_keras(run.model, run.info)
    return TrainedModel(
        model,
        replace(run.info, **hashes(run.recipe, listed)),
        run.recipe,
        run.task,
        run.question,
        Fit(run.info.decoder),
        json.loads((run.folder / METRICS).read_text(encoding="utf-8"))["headline"],
        lambda count: _inputs(run.info, _stratified(training, count, run.recipe.seed))[1],
        *(_examples(run, model, manifest, split, log) for split in ("val", "test")),
    )


def summary(exported: Exported) -> list[str]:
    """Return the table that a person reads, and why a file was rejected."""
    lost = f"{title(exported.rows[0].headline)} lost"
    header = ["File", "MB", lost, *exported.titles.values(), "ms, 1 thread", "ms, 2 threads"]
    measured = {(found.file, found.threads): found for found in exported.footprints}
    cells = [
        [
            row.file,
            f"{row.megabytes:.1f}",
            f"{row.loss.value:+.4f} ({row.loss.low:+.4f} to {row.loss.high:+.4f})",
            *(drift_cell(name, row.drift[name]) for name in exported.titles),
            *_times(row, measured),
        ]
        for row in exported.rows
    ]
    lines = ["", *aligned([[*header, "Peak MB"], *cells]), ""]
    lines += [f"{row.file}: {row.made}" for row in exported.rows if row.made]
    lines += [f"Rejected: {row.file}{REJECTED}: {'; '.join(row.failed_gates)}" for row in exported.rejected]
    return lines


def _times(row: Parity, measured: Mapping[tuple[str, int], Footprint]) -> list[str]:
    if not row.runs:
        return ["–"] * (len(THREADS) + 1)
    found = [measured[row.file, count] for count in THREADS]
    return [*(f"{one.p50:.1f} (95 %: {one.p95:.1f})" for one in found), f"{found[0].peak_megabytes:.0f}"]


def _examples(
    run: FinishedRun, model: keras.Model, manifest: Manifest, split: str, log: Callable[[str], None]
) -> LabelledImages:
    """Return a split's images or volumes, from their files, and the model's answers to those that can be read."""
    examples, rule, views = run.examples(split), run.info.slices, run.info.views
    whose = pd.Index(examples.ids).get_indexer(manifest.table[name_of_bag(rule, bool(views))])
    order = np.argsort(whose, kind="stable")[(whose < 0).sum() :]
    readable, inputs = _inputs(run.info, manifest.table.iloc[order])
    whose, table = whose[order][readable], manifest.table.iloc[order][readable]
    if rule:
        slices = (table["volume"] != "").to_numpy()
        seen = ~without_say(is_background(inputs.images) & slices, pd.factorize(table["volume"])[0])
        inputs, whose, table = inputs.of(seen), whose[seen], table[seen]
    there = np.isin(np.arange(len(examples.ids)), whose)
    absent = examples.ids[~there]
    if len(absent):
        missing = f"{len(absent)} of the run's {len(there)} {split} images, first: {absent[0]}"
        if there.sum() < 2:
            raise UserError(f"{manifest.source}: has no longer {missing}; put them back.")
        log(f"Note: {manifest.source} has no longer {missing}; the others are used.")
    # Answered anew: what a run folder keeps of large outputs is rounded.
    kept = examples.of(there)
    bags = bags_of(table, rule, views)
    answered = replace(kept, outputs=bags.outputs(outputs_and_features(model, *inputs)))
    cross_fitted = split == "val" and bool(run.recipe.tabular) and not FUSIONS[run.recipe.fusion].in_training
    held_out = {name: kept.outputs[name] - answered.outputs[name] for name in kept.outputs if name != FEATURES}
    return LabelledImages(inputs, answered, bags, held_out if cross_fitted else {})


def _inputs(info: ModelInfo, table: pd.DataFrame) -> tuple[np.ndarray, ModelInputs]:
    """Return which of the files can be read, bool (N,), and what the model is given of those."""
    readable, images = _decoded(table, info.reading)
    return readable, ModelInputs(images, encoded(info.fields, table[readable]) if info.fields else None)


def _refuse_without(training: pd.DataFrame, run: FinishedRun) -> None:
    if not len(training):
        raise UserError(
            f"int8: expected the run's training images, which tell its ranges. {run.recipe.data.source} has none of "
            f"them now; put them back, or train on what is there: kmedtl run {run.folder / 'recipe.yaml'}."
        )


def _stratified(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Return about `count` rows, each stratum by its share, in no order: the first of them are a sample as well."""
    share = min(1.0, count / len(table))
    parts = [part.sample(n=max(1, round(share * len(part))), random_state=seed) for _, part in table.groupby("stratum")]
    return pd.concat(parts).sample(frac=1, random_state=seed)


def _decoded(table: pd.DataFrame, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the files can be read, bool (N,), and the pixels of those, uint8 (n, size, size, C)."""
    places = [(path, int(frame) if frame else None) for path, frame in zip(table["path"], table["frame"], strict=True)]
    found = [pixels for _, pixels in decode_all(places, reading)]
    shape = (0, reading.size, reading.size, reading.channels)
    images = [pixels for pixels in found if pixels is not None]
    return np.array([pixels is not None for pixels in found], bool), np.stack(images) if images else np.empty(
        shape, np.uint8
    )

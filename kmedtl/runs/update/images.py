"""The images of an update: new ones, and those of the run that it updates, whose patients keep their split."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from kmedtl.data import sources, splits
from kmedtl.data.manifest import Labels, Manifest
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.data.sources.tables import from_table
from kmedtl.edge import model_info
from kmedtl.ensemble.members import trained_on
from kmedtl.errors import UserError
from kmedtl.files.csv_tables import read_csv
from kmedtl.recipe import Data, Recipe

TABLE = "manifest.csv"


def with_images_of(
    recipe: Recipe, data: Data, seed: int, labels: Labels = "needed", known: Collection[str] = ()
) -> Manifest:
    """Return the images of an update: those of `data`, and those of the run behind them, each with its split there.

    New images of patients whom the run knows have their split, other new ones that of the source, or none yet.

    Args:
        known: ids of new images that show a picture of the run, which are left out as its own files are.

    Raises:
        UserError: a source that cannot be used, images of the run that are gone, or other classes than the run's.
    """
    new, run = sources.load(data, seed, labels), Path(recipe.update.run)
    old = _of_run(run, recipe, labels)
    if old.classes != new.classes:
        received = ", ".join(new.classes)
        raise UserError(f"{new.source}: expected the classes of {run}: {', '.join(old.classes)}. Received: {received}.")
    same = new.table["path"].map(os.path.realpath).isin(set(map(os.path.realpath, old.table["path"])))
    fresh = _as_known(replace(new, table=new.table[~same]), old.table, run)
    fresh = fresh[~fresh["id"].isin(known)]
    if fresh.empty:
        raise UserError(f"{new.source}: {run} has all of its images already; nothing is left to learn from.")
    together = pd.concat([fresh, old.table], ignore_index=True)
    texts = together.select_dtypes(object).columns
    return replace(
        new,
        table=together.fillna(dict.fromkeys(texts, "")),  # a column that one of them lacks
        synthetic=new.synthetic and model_info.read(run).synthetic,
        patients_known=new.patients_known and old.patients_known,
        notes=(*new.notes, *_told(run, fresh, old.table, len(new.table) - len(fresh))),
    )


def split(recipe: Recipe, manifest: Manifest, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the column `split` filled, by the recipe's rule.

    Raises:
        UserError: too few patients of a class, or rows without a split beside rows with one.
    """
    shares = recipe.data.validation, recipe.data.test, recipe.seed
    if not recipe.update.run:
        return splits.split(manifest, table, *shares)
    divided = splits.split_added(manifest, table, *shares)
    new = divided[~divided["id"].isin(ids_of(Path(recipe.update.run)))]
    for part in ("train", "test"):
        if not (new["split"] == part).any():
            patients = new["patient"].nunique()
            raise UserError(
                f"{manifest.source}: none of its {patients} new patients came into '{part}', so nothing could be "
                "learned, or be seen to have been; add patients."
            )
    return divided


def pictures_of_run(recipe: Recipe, table: pd.DataFrame) -> frozenset[str]:
    """Return the ids of new images that show a picture which the run has, saved otherwise perhaps.

    Args:
        table: with `twin`.
    """
    is_old = table["id"].isin(ids_of(Path(recipe.update.run)))
    return frozenset(table.loc[~is_old & table["twin"].isin(table.loc[is_old, "twin"]), "id"])


def ids_of(run: Path, part: str = "") -> frozenset[str]:
    """Return how a run calls its images, or those of one split."""
    table = read_csv(run / TABLE, usecols=["id", "split"], dtype=str, keep_default_na=False)
    return frozenset(table.loc[table["split"] == part, "id"] if part else table["id"])


def _told(run: Path, fresh: pd.DataFrame, old: pd.DataFrame, known: int) -> Iterator[str]:
    patients = fresh["patient"].nunique()
    yield f"An update of {run.name}: {len(fresh)} new images of {patients} patients beside {len(old)} images of it."
    if known:
        yield f"New images that {run.name} has already, left out: {known}."
    shared = int(fresh["patient"].isin(old["patient"]).sum())
    if shared:
        yield f"New images of patients whom {run.name} has, in the split of these: {shared}."


def _of_run(run: Path, recipe: Recipe, labels: Labels) -> Manifest:
    """Return the run's own images as its manifest lists them; without those of training where they are not replayed."""
    data = replace(recipe.data, source=str(run / TABLE), labels="", columns={}, limit=None)
    without = "" if recipe.update.replay == "images" else "train"
    return from_table(run / TABLE, data, labels=labels, without=without)


def _as_known(new: Manifest, old: pd.DataFrame, run: Path) -> pd.DataFrame:
    """Return new rows with ids of their own and, where the run has the patient, its name there and its split.

    Args:
        old: the run's images; those of training may be left out, and are known all the same.
    """
    table, taught = new.table, trained_on(run)
    for name, there in (("id", ids_of(run)), ("volume", set(old["volume"]) - {""})):
        taken = table[name].isin(there)
        table = table.assign(**{name: table[name].mask(taken, f"{new.source_name}/" + table[name])})
    if not new.patients_known:
        return table.assign(patient=table["volume"].where(table["volume"] != "", table["id"]))
    split_of = dict.fromkeys(taught, "train") | dict(zip(map(pseudonym, old["patient"]), old["split"], strict=True))
    name_of = dict.fromkeys(taught) | {pseudonym(name): name for name in old["patient"].unique()}
    known = table["patient"].map(pseudonym)
    patients = known.map(name_of).fillna(known).where(known.isin(split_of), table["patient"])
    return table.assign(patient=patients, split=known.map(split_of).fillna(table["split"]))

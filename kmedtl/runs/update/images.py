"""The images of an update: new ones, and those of the run that it updates, whose patients keep their split."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from kmedtl import recipe as recipes
from kmedtl.data import sources, splits
from kmedtl.data.manifest import Labels, Manifest
from kmedtl.data.pseudonyms import hide_patients, pseudonym
from kmedtl.data.sources.tables import from_table
from kmedtl.edge import model_info
from kmedtl.ensemble.members import learned_without_labels, trained_on
from kmedtl.errors import UserError
from kmedtl.files.csv_tables import read_csv
from kmedtl.recipe import Data, Recipe

TABLE = "manifest.csv"


def with_images_of(
    recipe: Recipe, data: Data, seed: int, labels: Labels = "needed", known: Collection[str] = ()
) -> Manifest:
    """Return the images of an update: those of `data`, and those of the run behind them, each with its split there.

    New images of patients whom the run knows have their split, other new ones that of the source, or none yet. They may
    lack classes that the run has.

    Args:
        known: ids of new images that show a picture of the run, which are left out as its own files are.

    Raises:
        UserError: a source that cannot be used, images of the run that are gone, or other classes than the run's.
    """
    new, run = sources.load(data, seed, "some" if labels == "needed" else labels), Path(recipe.update.run)
    old, listed = _of_run(run, recipe, labels), _listed(run)
    if old.classes != new.classes:
        received = ", ".join(new.classes)
        raise UserError(f"{new.source}: expected the classes of {run}: {', '.join(old.classes)}. Received: {received}.")
    synthetic = new.synthetic or model_info.read(run).synthetic
    if synthetic and not (new.synthetic or data.keep_ids):
        new = replace(new, table=hide_patients(new.table))  # as nothing does later where images are synthetic
    same = new.table["path"].map(os.path.realpath).isin(set(map(os.path.realpath, listed["path"])))
    fresh = _as_known(replace(new, table=new.table[~same]), old.table, run)
    fresh = fresh[~fresh["id"].isin(known)]
    if fresh.empty:
        raise UserError(f"{new.source}: {run} has all of its images already; nothing is left to learn from.")
    together = pd.concat([fresh, old.table], ignore_index=True)
    texts = together.select_dtypes(exclude=["number", "bool"]).columns
    return replace(
        new,
        table=together.fillna(dict.fromkeys(texts, "")),  # a column that one of them lacks
        synthetic=synthetic,
        patients_known=new.patients_known or old.patients_known,
        notes=(*new.notes, *_told(run, fresh, old, new)),
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
                "learned, or be seen to have been; add patients that the run has not learned from, labelled or not."
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
    """Return how a run, and those that it began with, call their images, or those of one split."""
    table = _listed(run)
    return frozenset(table.loc[table["split"] == part, "id"] if part else table["id"])


def _listed(run: Path) -> pd.DataFrame:
    """Return `id`, `path` and `split` of every image of a run, and of the runs that it began with.

    Raises:
        UserError: one of them is not there any more.
    """
    try:
        table = read_csv(run / TABLE, usecols=["id", "path", "split"], dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        raise UserError(f"update.run: {run}: expected a run folder; its {TABLE} cannot be read.") from None
    began_with = recipes.read(run / "recipe.yaml").update.run
    return pd.concat([table, _listed(Path(began_with))]).drop_duplicates() if began_with else table


def _seen_without_labels(run: Path) -> frozenset[str]:
    """Return the files of images that a run, or one that it began with, learned from without their labels."""
    own = (os.path.realpath(path) for path in learned_without_labels(run, "path") if path)
    began_with = recipes.read(run / "recipe.yaml").update.run
    return frozenset(own) | (_seen_without_labels(Path(began_with)) if began_with else frozenset())


def _told(run: Path, fresh: pd.DataFrame, old: Manifest, new: Manifest) -> Iterator[str]:
    patients, count = fresh["patient"].nunique(), len(old.table)
    yield f"An update of {run.name}: {len(fresh)} new images of {patients} patients beside {count} images of it."
    known = len(new.table) - len(fresh)
    if known:
        yield f"New images that {run.name} has already, left out: {known}."
    shared = int(fresh["patient"].isin(old.table["patient"]).sum())
    if shared:
        yield f"New images of patients whom {run.name} has, in the split of these: {shared}."
    if new.patients_known != old.patients_known:
        whose = run.name if new.patients_known else new.source_name
        yield f"The images of {whose} name no patient, so each counts as one: whoever is in both may straddle splits."


def _of_run(run: Path, recipe: Recipe, labels: Labels) -> Manifest:
    """Return the run's own images as its manifest lists them; without those of training where they are not replayed."""
    data = replace(recipe.data, source=str(run / TABLE), labels="", columns={}, patient_pattern="", limit=None)
    without = "" if recipe.update.replay == "images" else "train"
    return from_table(run / TABLE, data, labels=labels, without=without)


def _as_known(new: Manifest, old: pd.DataFrame, run: Path) -> pd.DataFrame:
    """Return new rows with ids of their own and, where the run has the patient, its name there and its split.

    Args:
        old: the run's images; those of training may be left out, and are known all the same.
    """
    table, taught = new.table, trained_on(run)
    for name, there in (("id", ids_of(run)), ("volume", set(old["volume"]) - {""})):
        table = table.assign(**{name: _renamed(table[name], there, new.source_name)})
    if not new.patients_known:
        seen = table["path"].map(os.path.realpath).isin(_seen_without_labels(run))
        patients = table["volume"].where(table["volume"] != "", table["id"])
        return table.assign(patient=patients, split=table["split"].mask(seen, "train"))
    split_of = dict.fromkeys(taught, "train") | dict(zip(map(pseudonym, old["patient"]), old["split"], strict=True))
    name_of = dict.fromkeys(taught) | {pseudonym(name): name for name in old["patient"].unique()}
    known = table["patient"].map(pseudonym)
    patients = known.map(name_of).fillna(known).where(known.isin(split_of), table["patient"])
    return table.assign(patient=patients, split=known.map(split_of).fillna(table["split"]))


def _renamed(names: pd.Series, taken: Collection[str], source: str) -> pd.Series:
    """Return names of which none is taken: such as are get that of their source before them, as often as it takes."""
    while (again := names.isin(taken)).any():
        names = names.mask(again, f"{source}/" + names)
    return names

"""Train, validation and test: whole patients, stratified by label and site, fixed by seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kmedtl.data.manifest import SPLITS, Manifest
from kmedtl.data.pseudonyms import FORM
from kmedtl.errors import UserError


def split(manifest: Manifest, table: pd.DataFrame, validation: float, test: float, seed: int) -> pd.DataFrame:
    """Return `table` with the column `split` filled; splits that the source gave are respected.

    Patients who share an image (column `twin`, where there is one) count as one and stay together. Patients are ordered
    by a hash of seed and name and cut at the wanted fractions within each stratum (the labels a patient's images carry,
    and the site), so a patient hardly ever moves when others are added.

    Raises:
        UserError: too few patients of a class, or rows without a split beside rows with one.
    """
    given = set(table["split"])
    if "" in given and len(given) > 1:
        row = table.loc[table["split"] == "", "id"].iloc[0]
        raise UserError(f"{row} has no split, others have; fill the column or empty it.")
    if "" not in given and "train" not in given:
        raise UserError(
            f"the source gives the splits {', '.join(sorted(given))}, but no 'train'; name one so, or empty the column."
        )
    missing = {name: part for name, part in (("test", test), ("val", validation)) if name not in given}
    free = table["split"].isin(["", "train"]).to_numpy()
    divided = table["split"].where(~free, _divide(table[free], missing, seed) if missing else table["split"])
    table = table.assign(split=divided)
    _check(manifest, table)
    return table


def split_added(manifest: Manifest, table: pd.DataFrame, validation: float, test: float, seed: int) -> pd.DataFrame:
    """Return `table` with the column `split` filled where images without one were added to images with one.

    Who has images of both kinds, or shares an image with such a patient, keeps the split that is given; the others are
    divided as `split` does.

    Raises:
        UserError: too few patients of a class.
    """
    given = table["split"].mask(table["split"] == "")
    filled = given.fillna(given.groupby(groups(table)).transform("first"))
    free = filled.isna()
    if free.any():
        filled[free] = _divide(table[free], {"test": test, "val": validation}, seed)
    table = table.assign(split=filled)
    _check(manifest, table)
    return table


def folds(
    manifest: Manifest, table: pd.DataFrame, by: int | Literal["site"], validation: float, seed: int
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield a name (the site's) and a table with `split` filled for each fold; every patient is in one test.

    Args:
        by: how many folds, or `site`: each site is the test once, and a patient of several belongs to the first.

    Raises:
        UserError: splits that the source gave, a class or site that cannot be divided so often.
    """
    if set(table["split"]) != {""}:
        raise UserError(
            "data.folds: the source gives splits; folds need one without. Empty the column, or set folds=0."
        )
    if by == "site":
        if (table["site"] == "").any() or table["site"].nunique() < 2:
            raise UserError("data.folds: site: expected two or more sites and one for each image; see `kmedtl audit`.")
        parts = table.groupby(groups(table))["site"].transform("first")
        if parts.nunique() < 2:
            raise UserError("data.folds: site: patients or pictures link all sites to one; use a number of folds.")
    else:
        parts = _divide(table, {f"fold-{number}": 1 / by for number in range(1, by + 1)}, seed, rest=f"fold-{by}")
    for name in sorted(parts.unique()):
        divided = pd.Series("test", index=table.index)
        divided[parts != name] = _divide(table[parts != name], {"val": validation}, seed)
        fold = table.assign(split=divided)
        _check(manifest, fold)
        yield name, fold


def limit(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Return at most about `count` images: whole patients, each split and stratum by its share, none left empty."""
    if count >= len(table):
        return table
    divided = pd.concat([_divide(part, {"kept": count / len(table)}, seed) for _, part in table.groupby("split")])
    kept = (divided == "kept").reindex(table.index)
    for _, part in table.groupby(["split", "stratum"]):
        if not kept[part.index].any():
            kept |= (table["patient"] == part["patient"].iloc[0]) & (table["split"] == part["split"].iloc[0])
    return table[kept].reset_index(drop=True)


def limit_training(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Return the table with at most about `count` of its training images; validation and test stay as they are.

    Whole patients, each stratum by its share, none left empty. A smaller count keeps a subset of what a larger one
    keeps, so that runs with more and more images differ by the added ones alone.
    """
    training = table[table["split"] == "train"]
    if count >= len(training):
        return table
    group, people = _placed(training, seed)
    first = people.groupby("labels")["place"].transform("min")
    kept = (people["place"] < count / len(training)) | (people["place"] == first)
    stays = (table["split"] != "train") | group.map(kept).reindex(table.index, fill_value=False)
    return table[stays].reset_index(drop=True)


def leaks(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return a pair of ids for each patient (or image) that is in two of the splits that the source gave."""
    named = table[table["split"] != ""].assign(group=groups(table))
    across = named.groupby("group")["split"].transform("nunique") > 1
    one_each = named[across].drop_duplicates(["group", "split"])
    return [tuple(part["id"].head(2)) for _, part in one_each.groupby("group")]


def groups(table: pd.DataFrame) -> pd.Series:
    """Return a name for each row's group: patients linked by images that are twins, named by the first of them."""
    patients, names = pd.factorize(table["patient"], sort=True)
    twins = pd.factorize(table["twin"])[0] if "twin" in table else np.arange(len(table))
    links = coo_array((np.ones(len(table)), (patients, len(names) + twins)), shape=(2 * len(table) + 1,) * 2)
    component = connected_components(links, directed=False)[1][patients]
    first = pd.Series(patients).groupby(component).transform("min")
    return pd.Series([names[code] for code in first], index=table.index)


def _divide(table: pd.DataFrame, fractions: Mapping[str, float], seed: int, rest: str = "train") -> pd.Series:
    """Return for each row the name of a fraction, or `rest`; whole groups, by their share of the images."""
    group, people = _placed(table, seed)
    assigned, upper = pd.Series(rest, index=people.index), 0.0
    for name, fraction in fractions.items():
        lower, upper = upper, upper + fraction
        assigned[(people["place"] >= lower) & (people["place"] < upper)] = name
    for _, people_alike in people.groupby("labels"):
        for name in fractions:
            alike = assigned[people_alike.index]
            richest = alike.value_counts().idxmax()
            if name not in set(alike) and (alike == richest).sum() > 1:
                assigned[alike.index[alike == richest][0]] = name
    return group.map(assigned)


def _placed(table: pd.DataFrame, seed: int) -> tuple[pd.Series, pd.DataFrame]:
    """Return each row's group, and a table of the groups: `labels`, `site`, and `place`, 0 to 1 among those alike.

    The images of a stratum are spread evenly over its places, in the order of a hash of seed and name.
    """
    group = groups(table)
    people = table.groupby(group).agg(images=("id", "size"), labels=("stratum", _label_set), site=("site", "first"))
    people["order"] = [_hash(seed, name) for name in people.index]
    people = people.sort_values("order")
    people["place"] = 0.0
    for (labels, site), stratum in people.groupby(["labels", "site"]):
        # The middle of a patient's images decides, so that rounding favours no split; the start differs from stratum to
        # stratum, so that many small ones together come out right.
        middle = (stratum["images"].cumsum() - stratum["images"] / 2) / stratum["images"].sum()
        # A split must not depend on the pseudonyms' salt.
        name = stratum.index[0] if FORM.fullmatch(str(site)) else site
        people.loc[stratum.index, "place"] = (middle + int(_hash(seed, f"{labels}\0{name}")[:8], 16) / 16**8) % 1
    return group, people


def _check(manifest: Manifest, table: pd.DataFrame) -> None:
    everything = {"": np.ones(len(table), bool)}
    for name, members in (manifest.members(table) or everything).items():
        present = set(table.loc[members, "split"])
        for part in SPLITS:
            if part not in present:
                patients = table.loc[members, "patient"].nunique()
                found, each = (f"class {name} has", " of each class") if name else ("found", "")
                raise UserError(
                    f"{found} {patients} patients and none of them in '{part}'; expected at least one patient{each} in "
                    f"each of {', '.join(SPLITS)}: add patients or change the fractions."
                )


def _label_set(labels: pd.Series) -> str:
    return ",".join(map(str, sorted(set(labels))))


def _hash(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest()

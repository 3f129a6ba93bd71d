"""Train, validation and test: whole patients, stratified by label, fixed by seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kmedtl.data.manifest import SPLITS
from kmedtl.errors import UserError


def split(table: pd.DataFrame, classes: Sequence[str], validation: float, test: float, seed: int) -> pd.DataFrame:
    """Return `table` with the column `split` filled; splits that the source gave are respected.

    Patients who share a byte-identical image (column `sha256`, where there is one) count as one and stay together.
    Patients are ordered by a hash of seed and name and cut at the wanted fractions within each stratum (the set of
    labels a patient's images carry), so a patient hardly ever moves when others are added.

    Raises:
        UserError: too few patients of a class, a patient in two given splits, or rows without a split
            beside rows with one.
    """
    table = table.assign(group=_groups(table))
    given = set(table["split"])
    if "" in given and len(given) > 1:
        row = table.loc[table["split"] == "", "id"].iloc[0]
        raise UserError(f"{row} has no split, others have; fill the column or empty it.")
    if given == {""}:
        table = _divide(table, {"test": test, "val": validation}, seed)
    else:
        table = _complete(table, given, {"test": test, "val": validation}, seed)
    _check(table, classes)
    return table.drop(columns="group")


def limit(table: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Return at most about `count` images: whole patients, each split and stratum by its share."""
    if count >= len(table):
        return table
    table = table.assign(group=table["patient"])
    parts = [
        _divide(part, {"kept": count / len(table)}, seed).query("split == 'kept'").index
        for _, part in table.groupby("split")
    ]
    kept = sorted(row for part in parts for row in part)
    return table.loc[kept].drop(columns="group").reset_index(drop=True)


def _divide(table: pd.DataFrame, fractions: dict[str, float], seed: int) -> pd.DataFrame:
    """Assign whole groups of patients to the named fractions of the images, the rest to train."""
    patients = table.groupby("group").agg(images=("id", "size"), stratum=("label", _label_set))
    patients["order"] = [_hash(seed, patient) for patient in patients.index]
    patients = patients.sort_values("order")
    assigned = pd.Series("train", index=patients.index)
    for _, stratum in patients.groupby("stratum"):
        # The middle of a patient's images decides, so that rounding favours no split.
        middle = (stratum["images"].cumsum() - stratum["images"] / 2) / stratum["images"].sum()
        upper = 0.0
        for name, fraction in fractions.items():
            lower, upper = upper, upper + fraction
            assigned[stratum.index[(middle >= lower) & (middle < upper)]] = name
        for name in fractions:
            of_stratum = assigned[stratum.index]
            spare = of_stratum.index[of_stratum == "train"]
            if name not in set(of_stratum) and len(spare) > 1:
                assigned[spare[0]] = name
    return table.assign(split=table["group"].map(assigned))


def _complete(table: pd.DataFrame, given: set[str], fractions: dict[str, float], seed: int) -> pd.DataFrame:
    """Take what the source did not give (validation, test) from its training patients."""
    if "train" not in given:
        raise UserError(f"the source gives the splits {', '.join(sorted(given))}, but no 'train'.")
    missing = {name: fraction for name, fraction in fractions.items() if name not in given}
    train = table["split"] == "train"
    if missing:
        table = pd.concat([table[~train], _divide(table[train], missing, seed)]).sort_index()
    return table


def _check(table: pd.DataFrame, classes: Sequence[str]) -> None:
    splits_of = table.groupby("group")["split"].nunique()
    leaks = splits_of.index[splits_of > 1]
    if len(leaks):
        rows = table[table["group"] == leaks[0]].drop_duplicates("split")
        one, other = (f"{row.id} ({row.split})" for row in rows.head(2).itertuples())
        raise UserError(
            f"{one} and {other} are of one patient or the same image ({len(leaks)} such leaks): "
            "the test would measure memory; move them to one split."
        )
    for label, name in enumerate(classes):
        for part in SPLITS:
            if not ((table["label"] == label) & (table["split"] == part)).any():
                patients = table.loc[table["label"] == label, "patient"].nunique()
                raise UserError(
                    f"class {name} has {patients} patients and none of them in '{part}'; expected at least "
                    f"one patient of each class in each of {', '.join(SPLITS)}: add patients or change the fractions."
                )


def _groups(table: pd.DataFrame) -> list[str]:
    """Return a name for each row's group: patients linked by byte-identical images, named by the first of them."""
    patients, names = pd.factorize(table["patient"], sort=True)
    if "sha256" not in table:
        return [names[code] for code in patients]
    contents = pd.factorize(table["sha256"])[0]
    links = coo_array((np.ones(len(table)), (patients, len(names) + contents)), shape=(2 * len(table) + 1,) * 2)
    component = connected_components(links, directed=False)[1][patients]
    first = pd.Series(patients).groupby(component).transform("min")
    return [names[code] for code in first]


def _label_set(labels: pd.Series) -> str:
    return ",".join(map(str, sorted(set(labels))))


def _hash(seed: int, patient: str) -> str:
    return hashlib.sha256(f"{seed}\0{patient}".encode()).hexdigest()

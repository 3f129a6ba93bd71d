import numpy as np
import pandas as pd
import pytest

from kmedtl.data.splits import limit, split
from kmedtl.errors import UserError

CLASSES = ("NORMAL", "PNEUMONIA")


def table(patients=200, seed=0):
    random = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        label = int(random.random() < 0.25)
        rows += [
            {"id": f"{patient}-{view}", "patient": f"p{patient}", "label": label, "split": ""}
            for view in range(random.integers(1, 5))
        ]
    return pd.DataFrame(rows)


def test_no_patient_is_in_two_splits_and_fractions_hold():
    divided = split(table(), CLASSES, validation=0.15, test=0.2, seed=3)
    assert (divided.groupby("patient")["split"].nunique() == 1).all()
    for label in (0, 1):
        shares = divided[divided["label"] == label]["split"].value_counts(normalize=True)
        assert shares["val"] == pytest.approx(0.15, abs=0.04)
        assert shares["test"] == pytest.approx(0.2, abs=0.04)


def test_the_split_depends_on_the_seed_and_on_nothing_else():
    rows = table()
    first = split(rows, CLASSES, 0.15, 0.15, seed=1)
    shuffled = split(rows.sample(frac=1, random_state=9), CLASSES, 0.15, 0.15, seed=1).sort_index()
    assert list(first["split"]) == list(shuffled["split"])
    assert list(first["split"]) != list(split(rows, CLASSES, 0.15, 0.15, seed=2)["split"])


def test_few_patients_move_when_some_are_added():
    before = split(table(400), CLASSES, 0.15, 0.15, seed=1).drop_duplicates("patient").set_index("patient")["split"]
    after = split(table(420), CLASSES, 0.15, 0.15, seed=1).drop_duplicates("patient").set_index("patient")["split"]
    assert (before == after[before.index]).mean() > 0.95


def test_given_splits_are_respected_and_completed():
    rows = split(table(), CLASSES, 0.15, 0.15, seed=1)
    assert list(split(rows, CLASSES, 0.3, 0.3, seed=5)["split"]) == list(rows["split"])
    without_val = rows.assign(split=rows["split"].replace("val", "train"))
    completed = split(without_val, CLASSES, 0.15, 0.15, seed=5)
    assert set(completed["split"]) == {"train", "val", "test"}
    assert list(completed["split"] == "test") == list(rows["split"] == "test")


def test_three_patients_of_a_class_are_enough():
    rows = pd.DataFrame({"id": range(6), "patient": list("abcdef"), "label": [0, 0, 0, 1, 1, 1], "split": ""})
    assert set(split(rows, CLASSES, 0.15, 0.15, seed=0)["split"]) == {"train", "val", "test"}


def test_too_few_patients_are_refused():
    rows = pd.DataFrame({"id": range(5), "patient": list("abcde"), "label": [0, 0, 0, 1, 1], "split": ""})
    with pytest.raises(UserError, match="2 patients and none of them in 'test'"):
        split(rows, CLASSES, 0.15, 0.15, seed=0)


def test_a_patient_in_two_given_splits_is_refused():
    rows = split(table(), CLASSES, 0.15, 0.15, seed=1)
    leaked = rows["patient"].value_counts().index[0]
    first = rows.index[rows["patient"] == leaked][0]
    rows.loc[first, "split"] = "test" if rows.loc[first, "split"] == "train" else "train"
    with pytest.raises(UserError, match=f"{leaked[1:]}-.*of one patient"):
        split(rows, CLASSES, 0.15, 0.15, seed=1)


def test_a_half_filled_split_column_is_refused():
    rows = table()
    rows.loc[0, "split"] = "train"
    with pytest.raises(UserError, match="has no split, others have"):
        split(rows, CLASSES, 0.15, 0.15, seed=1)


def test_limit_keeps_whole_patients_and_the_class_ratio():
    rows = table(600)
    kept = limit(rows, 300, seed=1)
    assert len(kept) == pytest.approx(300, abs=10)
    counts = rows["patient"].value_counts()
    kept_counts = kept["patient"].value_counts()
    assert (kept_counts == counts[kept_counts.index]).all()
    assert kept["label"].mean() == pytest.approx(rows["label"].mean(), abs=0.03)


def test_patients_who_share_an_image_stay_together():
    rows = table(300)
    rows["sha256"] = [f"content {row}" for row in rows.index]
    by_patient = rows.groupby("patient").head(1).index
    for one, other in zip(by_patient[:200:2], by_patient[1:200:2], strict=True):
        rows.loc[other, "sha256"] = rows.loc[one, "sha256"]
    divided = split(rows, CLASSES, 0.2, 0.2, seed=1)
    assert (divided.groupby("sha256")["split"].nunique() == 1).all()
    assert (divided.groupby("patient")["split"].nunique() == 1).all()
    assert list(divided.columns) == list(rows.columns)


def test_the_same_image_in_two_given_splits_is_refused():
    rows = split(table(), CLASSES, 0.15, 0.15, seed=1)
    rows["sha256"] = [f"content {row}" for row in rows.index]
    train, test = (rows.index[rows["split"] == part][0] for part in ("train", "test"))
    rows.loc[test, "sha256"] = rows.loc[train, "sha256"]
    with pytest.raises(UserError, match="the same image"):
        split(rows, CLASSES, 0.15, 0.15, seed=1)

import numpy as np
import pandas as pd
import pytest

from kmedtl.data.manifest import Manifest
from kmedtl.data.splits import folds, leaks, limit, limit_training, split
from kmedtl.errors import UserError

CLASSES = ("NORMAL", "PNEUMONIA")


def complete(columns):
    rows = pd.DataFrame(columns)
    return rows.assign(stratum=rows["label"], split="", site="")


def divide(rows, validation, test, seed):
    return split(Manifest(rows, CLASSES, "rows"), rows, validation, test, seed)


def table(patients=200, seed=0):
    random = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        label = int(random.random() < 0.25)
        rows += [
            {
                "id": f"{patient}-{view}",
                "patient": f"p{patient}",
                "label": label,
                "stratum": label,
                "split": "",
                "site": "",
            }
            for view in range(random.integers(1, 5))
        ]
    return pd.DataFrame(rows)


def test_no_patient_is_in_two_splits_and_fractions_hold():
    divided = divide(table(), validation=0.15, test=0.2, seed=3)
    assert (divided.groupby("patient")["split"].nunique() == 1).all()
    for label in (0, 1):
        shares = divided[divided["label"] == label]["split"].value_counts(normalize=True)
        assert shares["val"] == pytest.approx(0.15, abs=0.04)
        assert shares["test"] == pytest.approx(0.2, abs=0.04)


def test_the_split_depends_on_the_seed_and_on_nothing_else():
    rows = table()
    first = divide(rows, 0.15, 0.15, seed=1)
    shuffled = divide(rows.sample(frac=1, random_state=9), 0.15, 0.15, seed=1).sort_index()
    assert list(first["split"]) == list(shuffled["split"])
    assert list(first["split"]) != list(divide(rows, 0.15, 0.15, seed=2)["split"])


def test_few_patients_move_when_some_are_added():
    before = divide(table(400), 0.15, 0.15, seed=1).drop_duplicates("patient").set_index("patient")["split"]
    after = divide(table(420), 0.15, 0.15, seed=1).drop_duplicates("patient").set_index("patient")["split"]
    assert (before == after[before.index]).mean() > 0.95


def test_given_splits_are_respected_and_completed():
    rows = divide(table(), 0.15, 0.15, seed=1)
    assert list(divide(rows, 0.3, 0.3, seed=5)["split"]) == list(rows["split"])
    without_val = rows.assign(split=rows["split"].replace("val", "train"))
    completed = divide(without_val, 0.15, 0.15, seed=5)
    assert set(completed["split"]) == {"train", "val", "test"}
    assert list(completed["split"] == "test") == list(rows["split"] == "test")


def test_three_patients_of_a_class_are_enough():
    rows = complete({"id": range(6), "patient": list("abcdef"), "label": [0, 0, 0, 1, 1, 1]})
    assert set(divide(rows, 0.15, 0.15, seed=0)["split"]) == {"train", "val", "test"}


def test_without_classes_too_few_patients_are_refused_as_well():
    rows = complete({"id": range(2), "patient": list("ab"), "label": [0, 0]})
    manifest = Manifest(rows, (), "test", multi_label=True)
    with pytest.raises(UserError, match="found 2 patients and none of them in 'val'; expected at least one patient in"):
        split(manifest, rows, 0.15, 0.15, seed=0)


def test_too_few_patients_are_refused():
    rows = complete({"id": range(5), "patient": list("abcde"), "label": [0, 0, 0, 1, 1]})
    with pytest.raises(UserError, match="2 patients and none of them in 'test'"):
        divide(rows, 0.15, 0.15, seed=0)


def test_a_patient_in_two_given_splits_is_a_leak():
    rows = divide(table(), 0.15, 0.15, seed=1)
    assert leaks(rows) == []
    leaked = rows["patient"].value_counts().index[0]
    first = rows.index[rows["patient"] == leaked][0]
    rows.loc[first, "split"] = "test" if rows.loc[first, "split"] == "train" else "train"
    ((one, other),) = leaks(rows)
    assert {rows.set_index("id")["patient"][name] for name in (one, other)} == {leaked}
    assert rows.set_index("id")["split"][one] != rows.set_index("id")["split"][other]


def test_a_half_filled_split_column_is_refused():
    rows = table()
    rows.loc[0, "split"] = "train"
    with pytest.raises(UserError, match="has no split, others have"):
        divide(rows, 0.15, 0.15, seed=1)


def test_limit_keeps_whole_patients_and_the_class_ratio():
    rows = table(600)
    kept = limit(rows, 300, seed=1)
    assert len(kept) == pytest.approx(300, abs=10)
    counts = rows["patient"].value_counts()
    kept_counts = kept["patient"].value_counts()
    assert (kept_counts == counts[kept_counts.index]).all()
    assert kept["label"].mean() == pytest.approx(rows["label"].mean(), abs=0.03)


@pytest.mark.parametrize("twins", [False, True])
def test_limited_training_takes_whole_patients_and_a_smaller_one_is_a_part_of_a_larger(twins):
    rows = with_sites(table(400))
    if twins:
        rows["twin"] = rows.index // 2  # each image is a copy of its neighbour, often another patient's
    divided = divide(rows, 0.15, 0.15, seed=3)
    others = divided[divided["split"] != "train"].reset_index(drop=True)
    training = divided[divided["split"] == "train"]
    larger = set(training["id"])
    for count in (1000, 300, 100, 10, 1):
        kept = limit_training(divided, count, seed=3)
        pd.testing.assert_frame_equal(kept[kept["split"] != "train"].reset_index(drop=True), others)
        part = kept[kept["split"] == "train"]
        assert set(part["id"]) <= larger
        assert not set(part["patient"]) & set(training.loc[~training["id"].isin(part["id"]), "patient"])
        assert set(part["label"]) == {0, 1}
        if count >= 100 and not twins:
            assert len(part) == pytest.approx(min(count, len(training)), abs=12)
            assert part["label"].mean() == pytest.approx(training["label"].mean(), abs=0.06)
        larger = set(part["id"])


def test_patients_who_share_an_image_stay_together():
    rows = table(300)
    rows["twin"] = [f"content {row}" for row in rows.index]
    by_patient = rows.groupby("patient").head(1).index
    for one, other in zip(by_patient[:200:2], by_patient[1:200:2], strict=True):
        rows.loc[other, "twin"] = rows.loc[one, "twin"]
    divided = divide(rows, 0.2, 0.2, seed=1)
    assert (divided.groupby("twin")["split"].nunique() == 1).all()
    assert (divided.groupby("patient")["split"].nunique() == 1).all()
    assert list(divided.columns) == list(rows.columns)


def test_the_same_picture_in_two_given_splits_is_a_leak():
    rows = divide(table(), 0.15, 0.15, seed=1)
    rows["twin"] = range(len(rows))
    assert leaks(rows) == []
    train, test = (rows.index[rows["split"] == part][0] for part in ("train", "test"))
    rows.loc[test, "twin"] = rows.loc[train, "twin"]
    assert len(leaks(rows)) == 1


def with_sites(rows):
    """Three sites; the third one is small and has twice the share of the finding."""
    number = rows["patient"].str[1:].astype(int)
    return rows.assign(site=np.select([number % 10 < 5, number % 10 < 9], ["a", "b"], "c"))


def test_each_site_has_its_share_in_each_split():
    rows = with_sites(table(1000))
    divided = divide(rows, 0.15, 0.2, seed=2)
    for _, part in divided.groupby(["site", "label"]):
        shares = part["split"].value_counts(normalize=True)
        assert shares["val"] == pytest.approx(0.15, abs=0.06)
        assert shares["test"] == pytest.approx(0.2, abs=0.06)


def test_many_small_sites_keep_the_fractions():
    rows = table(300)
    rows["site"] = "s" + (rows["patient"].str[1:].astype(int) // 3).astype(str)
    shares = divide(rows, 0.15, 0.15, seed=4)["split"].value_counts(normalize=True)
    assert shares["val"] == pytest.approx(0.15, abs=0.05)
    assert shares["test"] == pytest.approx(0.15, abs=0.05)


@pytest.mark.parametrize("by", [2, 5, "site"])
def test_every_patient_is_in_the_test_of_one_fold(by):
    rows = with_sites(table(300))
    divided = list(folds(Manifest(rows, CLASSES, "rows"), rows, by, 0.15, seed=1))
    assert len(divided) == (3 if by == "site" else by)
    tested = [set(fold.loc[fold["split"] == "test", "patient"]) for _, fold in divided]
    assert sum(map(len, tested)) == len(set().union(*tested)) == rows["patient"].nunique()
    for name, fold in divided:
        assert (fold.groupby("patient")["split"].nunique() == 1).all()
        assert set(fold["split"]) == {"train", "val", "test"}
        if by == "site":
            assert set(fold.loc[fold["split"] == "test", "site"]) == {name}
            assert name not in set(fold.loc[fold["split"] != "test", "site"])


@pytest.mark.parametrize(
    ("change", "by", "words"),
    [
        ({"split": "train"}, 5, "the source gives splits"),
        ({}, "site", "expected two or more sites"),
        ({"site": "only"}, "site", "expected two or more sites"),
    ],
)
def test_folds_that_cannot_be_are_refused(change, by, words):
    rows = table().assign(**change)
    with pytest.raises(UserError, match=words):
        list(folds(Manifest(rows, CLASSES, "rows"), rows, by, 0.15, seed=1))

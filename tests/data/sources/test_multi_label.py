"""Tables as NIH ChestX-ray14 and CheXpert write them."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.data import manifest as manifests
from kmedtl.data import sources
from kmedtl.data.manifest import UNKNOWN
from kmedtl.errors import UserError
from kmedtl.recipe import Data

NIH = pd.DataFrame(
    {
        "Image Index": [f"{number}.png" for number in range(6)],
        "Finding Labels": ["No Finding", "Effusion|Mass", "Mass", "Effusion", "No Finding", "Mass"],
        "Patient ID": [1, 1, 2, 3, 4, 5],
    }
)
CHEXPERT = pd.DataFrame(
    {
        "Path": [f"{number}.png" for number in range(6)],
        "Sex": list("MFMFMF"),
        "Edema": ["1.0", "0.0", "-1.0", "", "1.0", "-1.0"],
        "Fracture": ["0.0", "", "1.0", "1.0", "0.0", "-1.0"],
    }
)


def load(folder, table, suffix=".csv", **settings):
    for number in range(len(table)):
        Image.new("L", (40, 40), 20 * number).save(folder / f"{number}.png")
    path = folder / f"labels{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    return sources.load(Data(str(path), **settings), seed=0)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_several_findings_in_a_cell(tmp_path, suffix):
    found = load(tmp_path, NIH, suffix)
    assert found.multi_label
    assert found.classes == found.findings == ("Effusion", "Mass")
    expected = [[0, 0], [1, 1], [0, 1], [1, 0], [0, 0], [0, 1]]
    assert np.array_equal(found.targets(found.table), expected)
    assert list(found.table["patient"]) == ["1", "1", "2", "3", "4", "5"]
    assert found.members(found.table)["Mass"].sum() == 3


def test_one_finding_of_several_is_a_question(tmp_path):
    found = load(tmp_path, NIH, classes=("Mass",))
    assert not found.multi_label
    assert found.classes == ("no Mass", "Mass")
    assert np.array_equal(found.targets(found.table)[:, 0], [0, 1, 1, 0, 0, 1])


@pytest.mark.parametrize(
    ("policy", "edema", "fracture"),
    [
        ("ignore", [1, 0, UNKNOWN, 0, 1], [0, 0, 1, 1, 0]),
        ("ones", [1, 0, 1, 0, 1, 1], [0, 0, 1, 1, 0, 1]),
        ("zeros", [1, 0, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0]),
    ],
)
def test_uncertain_labels_follow_the_policy(tmp_path, policy, edema, fracture):
    found = load(tmp_path, CHEXPERT, classes=("Edema", "Fracture"), uncertain=policy)
    assert np.array_equal(found.targets(found.table), np.stack([edema, fracture], axis=1))
    assert found.unlabelled == 6 - len(edema)
    assert list(found.table["Sex"][:2]) == ["M", "F"]


def test_an_ignored_answer_leaves_the_image_out(tmp_path):
    found = load(tmp_path, CHEXPERT, classes=("Edema",))
    assert list(found.table["id"]) == ["0.png", "1.png", "3.png", "4.png"]
    assert found.unlabelled == 2


@pytest.mark.parametrize(("table", "settings"), [(NIH, {}), (CHEXPERT, {"classes": ("Edema", "Fracture")})])
def test_a_written_manifest_reads_as_what_it_was(tmp_path, table, settings):
    first = load(tmp_path, table, **settings)
    manifests.write(first, tmp_path / "again.csv")
    again = sources.load(Data(str(tmp_path / "again.csv"), classes=first.classes), seed=0)
    assert again.multi_label
    assert np.array_equal(again.targets(again.table), first.targets(first.table))
    assert list(again.table["patient"]) == list(first.table["patient"])


@pytest.mark.parametrize(
    ("table", "classes", "words"),
    [
        (NIH, ("Masss",), "no row has the finding 'Masss'. Did you mean 'Mass'"),
        (CHEXPERT, (), "set data.classes to columns of findings, such as Edema, Fracture"),
        (CHEXPERT.assign(Edema="perhaps"), ("Edema", "Fracture"), "line 2: Edema: expected 1, 0, -1 or nothing"),
        (NIH.drop(columns="Image Index"), (), "no column 'path'"),
        (NIH.head(0), (), "has no rows"),
    ],
)
def test_a_table_that_cannot_be_is_refused(tmp_path, table, classes, words):
    with pytest.raises(UserError, match=words):
        load(tmp_path, table, classes=classes)

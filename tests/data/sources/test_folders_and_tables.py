import csv

import pytest
from PIL import Image

from kmedtl.data import sources
from kmedtl.data.splits import split
from kmedtl.errors import UserError
from kmedtl.recipe import Data
from kmedtl.recipes.pneumonia import RECIPE


def write_csv(path, header, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_class_folders_become_a_manifest(image_folder):
    (image_folder / "NORMAL" / "notes.txt").write_text("not an image")
    manifest = sources.load(Data(str(image_folder), patient_pattern=r"/([A-Z]+-p\d+)"), seed=0)
    assert manifest.classes == ("NORMAL", "PNEUMONIA")
    assert len(manifest.table) == 24
    assert manifest.table["patient"].nunique() == 12
    assert manifest.ignored == 1
    assert set(manifest.table["split"]) == {""}
    assert not manifest.synthetic


def test_split_folders_are_kept(image_folder, tmp_path):
    for part in ("train", "valid", "test"):
        (tmp_path / "set" / part).mkdir(parents=True)
        for name in ("NORMAL", "PNEUMONIA"):
            target = tmp_path / "set" / part / name
            target.mkdir()
            for file in (image_folder / name).iterdir():
                (target / file.name).write_bytes(file.read_bytes())
    manifest = sources.load(Data(str(tmp_path / "set")), seed=0)
    assert sorted(set(manifest.table["split"])) == ["test", "train", "val"]
    assert not manifest.patients_known


def test_a_csv_manifest_keeps_its_columns(image_folder, tmp_path):
    path = write_csv(
        tmp_path / "m.csv",
        ["path", "label", "patient", "age"],
        ["images/NORMAL/NORMAL-p0-0.png", "NORMAL", "a", "5"],
        ["images/PNEUMONIA/PNEUMONIA-p0-0.png", "PNEUMONIA", "b", "7"],
    )
    table = sources.load(Data(str(path)), seed=0).table
    assert list(table["patient"]) == ["a", "b"]
    assert list(table["age"]) == ["5", "7"]
    assert list(table["label"]) == [0, 1]


def test_the_phantom_is_marked_synthetic_and_has_masks():
    manifest = sources.load(Data("phantom:8"), seed=1)
    assert manifest.synthetic
    assert manifest.table["patient"].nunique() == 8
    lesion, lung = manifest.table["mask"][0].split("|")
    assert Image.open(manifest.table["path"][0]).size == Image.open(lesion).size == Image.open(lung).size


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], ["no images in class folders"]),
        (["NORMAL/readme.txt"], ["no images in class folders"]),
        (["NORMAL/a.png"], ["only the class 'NORMAL'"]),
        (["NORMAL/a.png", "PNEUMONIA/b.png", "COVID/c.png"], ["label 'COVID'", "NORMAL, PNEUMONIA"]),
        (["train/NORMAL/a.png", "OTHER/b.png"], ["'OTHER' side by side"]),
    ],
)
def test_a_folder_that_cannot_train_is_refused(tmp_path, files, words):
    root = tmp_path / "bad"
    root.mkdir()
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    with pytest.raises(UserError) as error:
        sources.load(Data(str(root), classes=("NORMAL", "PNEUMONIA")), seed=0)
    for word in [*words, "bad"]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        (["document", "label"], ["a.png", "x"], ["no column 'path'", "it has document, label", "{path: COLUMN}"]),
        (["path", "label"], ["gone.png", "x"], ["line 2", "gone.png does not exist"]),
        (["path", "label"], ["a.png"], ["line 2", "number of cells"]),
        (["path", "label", "split"], ["a.png", "x", "elsewhere"], ["unknown split 'elsewhere'"]),
    ],
)
def test_a_wrong_manifest_names_the_line(tmp_path, header, row, words):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    Image.new("L", (8, 8)).save(tmp_path / "b.png")
    second = ["b.png", "y", "train"][: len(header)]
    path = write_csv(tmp_path / "m.csv", header, row, second)
    with pytest.raises(UserError) as error:
        sources.load(Data(str(path)), seed=0)
    for word in [*words, "m.csv"]:
        assert word in str(error.value)


def test_a_pattern_that_misses_a_file_is_refused(image_folder):
    with pytest.raises(UserError, match="finds no patient in the file name"):
        sources.load(Data(str(image_folder), patient_pattern=r"person(\d+)"), seed=0)


@pytest.mark.parametrize("source", ["nowhere", "phantom:two", "phantom:1", "tfds:no_such_set"])
def test_an_unknown_source_is_refused(source):
    with pytest.raises(UserError, match=source):
        sources.load(Data(source), seed=0)


@pytest.mark.slow
@pytest.mark.real_data
def test_real_films_have_patients_and_split_without_leaks(real_data):
    data = Data(
        str(real_data / "cxr_pneumonia"), classes=RECIPE.data.classes, patient_pattern=RECIPE.data.patient_pattern
    )
    manifest = sources.load(data, seed=0)
    assert len(manifest.table) == 4759
    names = manifest.table.set_index("id")["patient"]
    assert names["NORMAL/NORMAL2-IM-1018-0001.jpeg"] == "IM-1018"
    assert names["PNEUMONIA/person1502_bacteria_3923.jpeg"] == "person1502"
    divided = split(manifest, manifest.table, 0.15, 0.15, seed=0)
    assert (divided.groupby("patient")["split"].nunique() == 1).all()
    shares = divided["split"].value_counts(normalize=True)
    assert shares["val"] == pytest.approx(0.15, abs=0.01)
    assert shares["test"] == pytest.approx(0.15, abs=0.01)

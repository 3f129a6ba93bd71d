"""Several images of one patient, by names, folders and tables: which is of which examination and view."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.config import override
from kmedtl.data import sources
from kmedtl.data.manifest import write
from kmedtl.errors import UserError
from kmedtl.recipe import Data
from tests.data.sources.test_volumes import save_volume
from tests.images.volume_files import save_all, series, uid

NAMES = ("a/e1/t1.png", "a/e1/T2.png", "b/e2/t1.png", "b/e3/t2.png")


def save_image(path, level=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((24, 24), level, np.uint8)).save(path)
    return path


def save_set(root, names=NAMES):
    for number, name in enumerate(names):
        save_image(root / name, 90 + number) if name.endswith(".png") else save_volume(root / name, number)
    return root


def listed(root, views=("t1", "t2"), **settings):
    return sources.load(Data(source=str(root), size=32, channels=1, views=views, **settings), 7)


def places(manifest):
    """Return examination, view and patient of each file."""
    table = manifest.table.drop_duplicates("path")
    return sorted(zip(table["examination"], table["view"], table["patient"], strict=True))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (NAMES, [("a/e1", "t1"), ("a/e1", "t2"), ("b/e2", "t1"), ("b/e3", "t2")]),
        (("a/e1_t1.png", "a/e1-t2.png", "b/e2_T1.png"), [("a/e1", "t1"), ("a/e1", "t2"), ("b/e2", "t1")]),
        (("a/e1/t1/3.png", "a/e1/t1/4.png", "b/e2/t2/3.png"), [("a/e1", "t1"), ("a/e1", "t1"), ("b/e2", "t2")]),
        (("a/e1/e1_t1.nii.gz", "b/e2/t2.nii.gz"), [("a/e1/e1", "t1"), ("b/e2", "t2")]),
        (("a/e1/t1.nii.gz", "b/e2/t2.png"), [("a/e1", "t1"), ("b/e2", "t2")]),
    ],
)
def test_names_of_files_or_folders_tell_examination_and_view(names, expected, tmp_path):
    found = listed(save_set(tmp_path, names))
    assert places(found) == [(name, view, name) for name, view in expected]
    assert not found.patients_known


def test_what_is_called_like_no_view_is_left_out_and_counted(tmp_path):
    found = listed(save_set(tmp_path, (*NAMES, "b/e3/scout.png")))
    assert len(found.table) == 4
    assert "Files that are called like none of t1, t2, left out: 1." in found.notes


def test_a_pattern_names_the_patient_of_several_examinations(tmp_path):
    found = listed(save_set(tmp_path, ("a/p1-x/t1.png", "a/p1-y/t2.png", "b/p2-x/t1.png")), patient_pattern=r"(p\d)-")
    assert [patient for _, _, patient in places(found)] == ["p1", "p1", "p2"]


def save_table(root, **columns):
    save_set(root)
    table = {"id": ["x", "y", "z"], "first": ["a/e1/t1.png", "b/e2/t1.png", ""], "label": ["a", "b", "b"]}
    table |= {"second": ["a/e1/T2.png", "", "b/e3/t2.png"]} | columns
    pd.DataFrame(table).to_csv(root / "table.csv", index=False)
    return root / "table.csv"


def test_a_table_has_a_column_a_view_and_an_empty_cell_is_a_missing_image(tmp_path):
    found = listed(save_table(tmp_path), {"t1": "first", "t2": "Second"}, keep_ids=True)
    assert places(found) == [("x", "t1", "x"), ("x", "t2", "x"), ("y", "t1", "y"), ("z", "t2", "z")]
    assert found.table.set_index("id").loc["b/e3/t2.png", "label"] == 1
    write(found, tmp_path / "manifest.csv")  # a row an image, of which each says what it is
    again = listed(tmp_path / "manifest.csv")
    assert places(again) == places(found)


def test_a_row_without_any_image_is_left_out_and_counted(tmp_path):
    found = listed(save_table(tmp_path, second=["a/e1/T2.png", "", ""]), {"t1": "first", "t2": "second"})
    assert [name for name, _, _ in places(found)] == ["x", "x", "y"]
    assert "Rows of table.csv without any image, left out: 1." in found.notes


def test_series_in_folders_are_volumes_of_a_view_and_names_of_people_are_hidden(tmp_path):
    for number, label in enumerate("ab"):
        for place, view in enumerate(("t1", "t2")):
            slices = series(SeriesInstanceUID=uid(2, 10 * number + place), PatientID=f"MRN-{number}")
            for at, data in enumerate(slices):
                data.SOPInstanceUID = uid(1, 100 * (2 * number + place) + at)
            save_all(slices, tmp_path / label / f"DOE^JANE{number}" / view)
    pd.DataFrame({"PatientID": ["MRN-0", "MRN-1"], "label": ["a", "b"]}).to_csv(tmp_path / "labels.csv", index=False)
    found = listed(tmp_path, labels=str(tmp_path / "labels.csv"))
    assert found.table.groupby("examination")["view"].unique().map(sorted).tolist() == [["t1", "t2"]] * 2
    assert found.table.groupby("examination")["volume"].nunique().tolist() == [2, 2]
    assert "JANE" not in found.table.to_csv()


@pytest.mark.parametrize(
    ("names", "views", "message"),
    [
        (NAMES, "[t1, t2, flair]", "has no image of the view 'flair'; expected EXAM/flair.png, EXAM_flair.png"),
        ((*NAMES, "a/e1/t1.nii.gz"), "[t1, t2]", "a/e1 has 2 files of the view 't1'; expected one"),
        ((*NAMES, "b/e9/t1/1.nii.gz", "b/e9/t1/2.nii.gz"), "[t1, t2]", "b/e9 has 2 files of the view 't1'"),
        (NAMES, "{t1: first, t2: second}", r"data.views: expected names, \[t1, t2\], as"),
        (NAMES, "[t1]", "data.views: expected two names or more"),
        (NAMES, "[t1, T1]", "data.views: expected two names or more that differ, case aside"),
        (NAMES, "[t1, t 2]", "data.views: expected names of letters"),
        ("phantom:6", "[t1, t2]", "data.views: expected a folder or a table of examinations. Received: phantom:6"),
        ("phantom_views:6", "[t1, t2]", "data.views: expected frontal, lateral, as phantom_views:6 has"),
    ],
)
def test_folders_that_do_not_tell_are_refused(names, views, message, tmp_path):
    source = names if isinstance(names, str) else str(save_set(tmp_path, names))
    with pytest.raises(UserError, match=message):
        sources.load(override(Data(source=source, size=32, channels=1), [f"views={views}"]), 7)


@pytest.mark.parametrize(
    ("columns", "views", "message"),
    [
        (
            {},
            {"t1": "first", "t2": "secnd"},
            r"data.views.t2: .*table.csv has no column 'secnd'. Did you mean 'second'",
        ),
        ({"id": ["x", "x", "z"]}, {"t1": "first", "t2": "second"}, "line 3: the examination x is in two rows"),
        ({"first": "", "second": ""}, {"t1": "first", "t2": "second"}, "no image in the columns first, second"),
        ({"second": "a/e1/t1.png"}, {"t1": "first", "t2": "second"}, "its file or id is in two rows"),
    ],
)
def test_tables_that_do_not_tell_are_refused(columns, views, message, tmp_path):
    with pytest.raises(UserError, match=message):
        listed(save_table(tmp_path, **columns), views)


@pytest.mark.parametrize(("view", "examination"), [("t3", "x"), ("t1", "")])
def test_a_row_an_image_says_both_of_it(view, examination, tmp_path):
    save_set(tmp_path)
    rows = [("a/e1/t1.png", "x", "t1", "a"), ("a/e1/T2.png", "x", "t2", "a"), ("b/e2/t1.png", examination, view, "b")]
    pd.DataFrame(rows, columns=["path", "examination", "view", "label"]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=r"b/e2/t1\.png: expected an examination, and a view of t1, t2"):
        listed(tmp_path / "t.csv")

"""Fields beside the image: how they become numbers, and where the scanner takes them from."""

import numpy as np
import pytest

from kmedtl.edge.fields import CategoryField, NumberField, absent, encode, gaps, width
from kmedtl.edge.given_fields import given_fields
from kmedtl.errors import UserError
from tests.images.test_dicom import write
from tests.images.volume_files import save_all, series

FIELDS = (NumberField("age", 50, 10), CategoryField("sex", ("f", "m")), CategoryField("site", ("left arm", "2")))
UNKNOWN = [0, 1, 0, 0, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("row", "expected", "missing", "unseen"),
    [
        ({"age": 60, "sex": "F", "site": " Left  ARM "}, [1, 0, 1, 0, 0, 1, 0, 0], (), ()),
        ({"age": "060Y", "sex": "male", "site": "2.0"}, [1, 0, 0, 1, 0, 0, 1, 0], (), ()),
        ({"age": "600M", "sex": "M"}, [0, 0, 0, 1, 0, 0, 0, 1], ("site",), ()),
        ({"age": 1e9, "sex": "", "site": None}, [5, 0, 0, 0, 1, 0, 0, 1], ("sex", "site"), ()),
        ({"age": float("nan"), "sex": "unknown", "site": "N/A"}, UNKNOWN, ("age", "sex", "site"), ()),
        ({"age": "old", "sex": "x", "site": "toe"}, UNKNOWN, (), ("age", "sex", "site")),
        ({"age": "inf"}, UNKNOWN, ("sex", "site"), ("age",)),
        ({}, UNKNOWN, ("age", "sex", "site"), ()),
    ],
)
def test_a_row_becomes_numbers_and_says_what_is_unknown(row, expected, missing, unseen):
    np.testing.assert_allclose(encode(FIELDS, [row])[0], expected, atol=1e-6)
    assert gaps(FIELDS, row) == (missing, unseen)


def test_nothing_known_is_what_everything_missing_is():
    assert width(FIELDS) == len(UNKNOWN)
    np.testing.assert_array_equal(absent(FIELDS, 2), encode(FIELDS, [{}, {}]))
    assert encode(FIELDS, []).shape == (0, len(UNKNOWN))


def test_all_images_have_what_is_said_of_all():
    found = given_fields("Age=54, sex=F,site=arm, left", FIELDS)(["a.png", "b.png"])
    assert found == [{"age": "54", "sex": "F", "site": "arm, left"}] * 2


@pytest.mark.parametrize("separator", ",;\t")
def test_a_table_is_looked_up_by_path_name_and_stem(tmp_path, separator):
    table = tmp_path / "known.csv"
    rows = [("image_id", "AGE", "other"), ("one/a.png", "1", "x"), ("two/a.png", "2", "x"), ("b", "3", "x")]
    table.write_text("\n".join(separator.join(row) for row in rows))
    found = given_fields(str(table), FIELDS)
    assert [row.get("age") for row in found(["two/a.png", "far/b.png", "c.png"])] == ["2", "3", None]
    with pytest.raises(UserError, match=r"rows with different values for a\.png"):
        found(["three/a.png"])
    with pytest.raises(UserError, match=r"none names c\.png"):
        found(["c.png"])


def test_dicom_headers_say_what_nobody_else_does(tmp_path):
    path = write(tmp_path / "film.dcm", np.zeros((8, 8), np.uint16), PatientAge="054Y", PatientSex="F")
    (tmp_path / "film.png").write_bytes(b"no DICOM")
    folder = save_all(series(PatientAge="030Y"), tmp_path / "series")
    (tmp_path / "nothing").mkdir()
    places = [str(path), str(tmp_path / "film.png"), str(folder), str(tmp_path / "nothing")]
    known, nothing, of_series, empty = given_fields(None, FIELDS)(places)
    assert encode(FIELDS, [known])[0, :4] == pytest.approx([0.4, 0, 1, 0])
    assert gaps(FIELDS, known) == (("site",), ())
    assert nothing == empty == {}
    assert (of_series["age"], of_series["sex"]) == ("030Y", "")


@pytest.mark.parametrize(
    ("option", "fields", "message"),
    [
        ("age=1", (), "takes the image alone"),
        ("aeg=1", FIELDS, "no field 'aeg'. Did you mean 'age'"),
        ("absent.csv", FIELDS, "absent.csv cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused(option, fields, message):
    with pytest.raises(UserError, match=message):
        given_fields(option, fields)

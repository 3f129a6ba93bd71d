"""Fields of a run: their columns, wherever they come from, and what training makes of them."""

import numpy as np
import pandas as pd
import pytest

from kmedtl.data.manifest import from_rows
from kmedtl.data.tabular import field_input, learned_fields, with_columns
from kmedtl.edge.fields import absent
from kmedtl.errors import UserError
from tests.images.test_dicom import write
from tests.images.volume_files import save_all, series

KINDS = {"age": "number", "sex": "category"}
TABLE = pd.DataFrame({"age": [30.0, 50, np.nan, 70], "sex": ["F", "m", "", " M "]})


def test_columns_come_from_dicom_headers_where_the_source_has_none(tmp_path):
    rows = []
    for number, (age, sex) in enumerate((("030Y", "F"), ("", "M"))):
        path = write(tmp_path / f"{number}.dcm", np.zeros((8, 8), np.uint16), PatientAge=age, PatientSex=sex)
        rows.append({"id": path.name, "path": str(path), "patient": str(number), "label": "AB"[number]})
    manifest = from_rows(rows, (), "films")
    assert with_columns(manifest, {}).table is manifest.table
    table = with_columns(manifest, KINDS).table
    assert table[["age", "sex"]].to_numpy().tolist() == [["030Y", "F"], ["", "M"]]
    kept = with_columns(from_rows([row | {"sex": "own"} for row in rows], (), "films"), KINDS).table
    assert kept["sex"].tolist() == ["own", "own"]
    with pytest.raises(UserError, match=r"films has no column 'colour'.*DICOM headers give age, sex"):
        with_columns(manifest, {"colour": "category"})
    with pytest.raises(UserError, match="neither the answer"):
        with_columns(manifest, {"weight": "number"}, ["weight"])


def test_slices_of_a_series_have_the_fields_of_its_files_headers(tmp_path):
    rows = []
    for number, age in enumerate(("071Y", "")):
        folder = save_all(series(PatientAge=age, PatientSex="FM"[number]), tmp_path / str(number))
        shared = {"path": str(folder), "patient": str(number), "label": "AB"[number], "volume": str(number)}
        rows += [shared | {"id": f"{number}#{frame}", "frame": str(frame)} for frame in range(3)]
    table = with_columns(from_rows(rows, (), "scans"), KINDS).table
    assert table[["age", "sex"]].to_numpy().tolist() == [["071Y", "F"]] * 3 + [["", "M"]] * 3


def test_statistics_and_categories_are_those_of_the_table():
    age, sex = learned_fields(KINDS, TABLE)
    assert (age.mean, age.deviation) == pytest.approx((50, np.std([30, 50, 70])))
    assert sex.categories == ("f", "m")
    assert field_input((age, sex), TABLE).missing() == {"age": 0.25, "sex": 0.25}


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("number", [1, 1, "", 1], "differ"),
        ("number", [1, "old", 2, 3], "old"),
        ("category", ["", "NA", None, "-"], "blanks alone"),
    ],
)
def test_columns_that_say_nothing_are_refused(kind, values, message):
    with pytest.raises(UserError, match=message):
        learned_fields({"it": kind}, pd.DataFrame({"it": values}))


def test_fields_are_dropped_whole_and_as_the_seed_says():
    table = pd.DataFrame({"age": np.arange(1000) % 7, "sex": ["F", "M"] * 500})
    fields = learned_fields(KINDS, table)
    given = field_input(fields, table, dropped=0.2)
    seen, gone = given.of_epoch(3), absent(fields)[0]
    np.testing.assert_array_equal(seen, given.of_epoch(3))
    assert not np.array_equal(seen, given.of_epoch(4))
    for span in (slice(0, 2), slice(2, 5)):
        dropped = (seen[:, span] == gone[span]).all(axis=1)
        assert dropped.mean() == pytest.approx(0.2, abs=0.05)
        np.testing.assert_array_equal(seen[~dropped, span], given.values[~dropped, span])
    np.testing.assert_array_equal(field_input(fields, table).of_epoch(3), given.values)

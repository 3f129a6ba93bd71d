"""A class or a grade may stand in any column."""

from dataclasses import replace

import numpy as np
import pytest

from kmedtl.errors import UserError
from kmedtl.recipe import Classification, Data, Multi, Ordinal, Recipe
from kmedtl.runs.prepare import prepare_recipe
from kmedtl.tasks import task_of
from tests.tasks.rows import with_masks

DATA = Data()


def manifest(**columns):
    found = with_masks()
    rows = np.arange(len(found.table))
    given = {
        name: np.array(values, object)[rows % len(values)]  # in turn
        for name, values in columns.items()
    }
    return replace(found, table=found.table.assign(**given))


@pytest.mark.parametrize(
    ("settings", "values", "classes"),
    [
        (Classification(target="side"), ["left", "right", "", "none"], ("left", "right")),
        (Classification(target="side"), ["left", "right", None, "both"], ("both", "left", "right")),
        (Classification(target="side"), [2.0, 1.0, 10.0, float("nan")], ("1", "2", "10")),
        (Ordinal(target="side"), [2.0, 1.0, 10.0, float("nan")], ("1", "2", "10")),
        (Ordinal(target="side", grades=("mild", "bad", "worst")), ["worst", "mild", "bad"], ("mild", "bad", "worst")),
    ],
)
def test_a_column_names_the_classes_and_images_without_one_are_left_out(settings, values, classes):
    whole = manifest(side=values)
    _, found = task_of(settings).ask(settings, DATA, whole)
    assert found.classes == classes
    named = whole.table["side"].isin([value for value in values if str(value).removesuffix(".0") in classes])
    assert found.table["id"].tolist() == whole.table["id"][named].tolist()
    assert found.unlabelled == (~named).sum()
    told = whole.table.set_index("id")["side"].astype(str).str.removesuffix(".0")
    assert [classes[code] for code in found.table["label"]] == told[found.table["id"]].tolist()


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (Classification(target="sidee"), ["a", "b"], "task.target: .* has no column 'sidee'. Did you mean 'side'"),
        (
            Classification(target="side"),
            ["a", ""],
            "two classes or more in the column 'side'. Received: only 'a'",
        ),
        (Classification(target="side"), [""], "Received: nothing"),
        (Ordinal(target="side"), ["a", "b", "c"], "task.grades="),
        (
            Ordinal(target="side", grades=("a", "b", "d")),
            ["a", "b", "c"],
            "'c' in the column 'side' is none of a, b",
        ),
    ],
)
def test_what_a_column_cannot_answer_is_refused(settings, values, message):
    with pytest.raises(UserError, match=message):
        task_of(settings).ask(settings, DATA, manifest(side=values))


def test_tasks_side_by_side_read_a_column_each():
    settings = Multi({"finding": Classification(), "side": Classification(target="side"), "grade": Ordinal(target="g")})
    whole = manifest(side=["left", "right", "", ""], g=[0, 1, 2])
    question, found = task_of(settings).ask(settings, DATA, whole)
    assert found.table["id"].tolist() == whole.table["id"].tolist()
    assert question.tasks["side"].classes == ("left", "right")
    assert question.tasks["grade"].grades == ("0", "1", "2")
    assert question.tasks["finding"].classes == whole.classes
    known = task_of(settings).targets(question, DATA, found, found.table).of(found.table)
    side = known["side.logits"][:, 0]
    assert np.array_equal(side == -1, whole.table["side"].to_numpy() == "")
    assert np.array_equal(side == 1, whole.table["side"].to_numpy() == "right")


def test_grades_without_a_column_are_the_classes_of_the_source():
    with pytest.raises(UserError, match="expected none without task"):
        Ordinal(grades=("a", "b", "c"))


def test_a_source_needs_no_labels_where_each_task_has_a_column(tmp_path, image_folder):
    files = sorted(str(path) for path in image_folder.rglob("*.png"))
    rows = [f"{path},{('left', 'right', '')[number % 3]},{number % 4}" for number, path in enumerate(files)]
    (tmp_path / "films.csv").write_text("\n".join(["path,side,severity", *rows]))
    data = Data(str(tmp_path / "films.csv"), size=32, channels=1)
    both = Multi({"side": Classification(target="side"), "grade": Ordinal(target="severity")})
    for task, used in ((both, 24), (Classification(target="side"), 16), (Ordinal(target="severity"), 24)):
        found = prepare_recipe(Recipe("films", schedule="linear_probe", task=task, data=data))
        assert len(found.table) == used
    known = prepare_recipe(Recipe("films", schedule="linear_probe", task=both, data=data)).targets
    assert set(known.of(found.table)) == {"side.logits", "grade.grade"}
    with pytest.raises(UserError, match="label"):
        prepare_recipe(Recipe("films", schedule="linear_probe", data=data))

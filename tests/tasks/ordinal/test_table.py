"""Tables of grades, of whatever model."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

import kmedtl
from kmedtl.cli import main
from kmedtl.edge.tasks.ordinal import GRADE, of_grades
from kmedtl.errors import UserError
from kmedtl.tasks import TASKS
from kmedtl.tasks.ordinal.combine import outputs_of
from kmedtl.tasks.ordinal.question import GradeQuestion, plain
from tests.tasks.ordinal.invented import GRADES, examples_of, noisy

ABOVE, TRUTH = noisy(60, seed=0)
DECIDED = (ABOVE > 0.5).sum(axis=1)


@pytest.fixture
def table():
    """Sixty images of thirty patients."""
    names = {"id": [f"{row}.png" for row in range(60)], "patient": [f"p{row // 2}" for row in range(60)]}
    return pd.DataFrame(names | {"split": "test", "grade": TRUTH, "prediction": DECIDED})


def written(table, place, **options):
    table.to_csv(place / "grades.csv", index=False, **options)
    return place / "grades.csv"


def judged(path, **options):
    return kmedtl.evaluate(path, task="ordinal", **options).estimates


def test_figures_are_those_of_the_columns(table, tmp_path):
    found = judged(written(table, tmp_path))
    assert found["kappa"].value == pytest.approx(cohen_kappa_score(TRUTH, DECIDED, weights="quadratic"))
    assert found["accuracy"].value == pytest.approx((TRUTH == DECIDED).mean())
    assert "referable_auc" not in found


def test_probabilities_of_each_grade_tell_referable_images_apart(table, tmp_path):
    likely = pd.DataFrame(of_grades(ABOVE), columns=[f"probability_{grade}" for grade in GRADES])
    found = judged(written(pd.concat([table, likely], axis=1), tmp_path))
    assert found["referable_auc"].value == pytest.approx(roc_auc_score(TRUTH >= 2, ABOVE[:, 1]))


def test_other_programs_columns_are_read(table, tmp_path):
    other = table.rename(columns={"grade": "y_true", "prediction": "y_pred"}).drop(columns="split")
    assert judged(written(other, tmp_path, sep=";"))["mae"].value == pytest.approx(np.abs(TRUTH - DECIDED).mean())


def test_a_table_of_a_run_says_itself_what_it_holds(tmp_path, capsys):
    question = GradeQuestion(("none", "mild", "moderate", "severe"), "moderate", "corn")
    examples = examples_of(TRUTH, {GRADE: outputs_of(ABOVE, "corn").astype(np.float32)})
    columns = TASKS["ordinal"].table(question, examples, plain(question))
    who = pd.DataFrame({"id": examples.ids, "patient": examples.patients, "split": "test"})
    path = written(pd.concat([who, columns, examples.groups], axis=1), tmp_path)
    assert main(["evaluate", str(path), "--groups", "sex", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["task"] == "ordinal"
    assert document["grades"] == list(question.grades)
    assert document["notes"] == ["Referable: from grade moderate on."]
    assert set(document["groups"]) == {"sex F", "sex M"}
    whole = TASKS["ordinal"].figures(question, kmedtl.recipe.Evaluation(), examples, plain(question)).estimates
    for name, one in whole.items():
        assert document["test"][name]["value"] == pytest.approx(one.value), name


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda table: table.drop(columns="grade"), {}, "expected the columns grade and prediction. Found: id"),
        (lambda table: table.replace({"grade": {0: "none"}}), {}, "expected whole numbers, or a run folder.*'none'"),
        (lambda table: table.assign(grade=0, prediction=1), {}, "expected 3 to 100 grades. Received: 0 to 1"),
        (lambda table: table.assign(grade=10**9), {}, "expected 3 to 100 grades"),
        (lambda table: table.assign(**{f"probability_{one}": 0.25 for one in "012"}), {}, "expected one of 0, 1, 2 "),
        (lambda table: table.assign(**{f"probability_{one}": 0.2 for one in GRADES}), {}, "add up to 1. Received: 0.2"),
        (lambda table: table, {"ordered": True}, "--ordered: .* holds grades"),
        (lambda table: table, {"split": "val"}, "no rows of the split 'val'"),
    ],
)
def test_what_cannot_be_judged_is_refused(table, tmp_path, change, options, words):
    with pytest.raises(UserError, match=words) as error:
        judged(written(change(table), tmp_path), **options)
    assert "\n" not in str(error.value)

"""Tables of the figures of masks, judged again."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kmedtl.cli import main
from kmedtl.edge.tasks.mask_decoder import plain
from kmedtl.errors import UserError
from kmedtl.runs.evaluate_table import judge
from kmedtl.tasks import TASKS
from kmedtl.tasks.segmentation.columns import long, wide
from kmedtl.tasks.segmentation.evaluation import per_image
from kmedtl.tasks.task import TableSettings
from tests.tasks.segmentation.test_row import QUESTION, examples, squares

ROW = TASKS["segmentation"]


@pytest.fixture
def table():
    masks, logits = squares(8)
    masks[0] = False
    logits[1] = -6.0
    known = examples(masks, logits, patients=list("aabbccdd"))
    columns = ROW.table(QUESTION, known, plain(("lesion",), 2.0, "keep"))
    who = pd.DataFrame({"id": known.ids, "patient": known.patients, "split": ["val"] * 2 + ["test"] * 6})
    return pd.concat([who, columns], axis=1).assign(site=["n", "s"] * 4)


def judged(table, path, **settings):
    table.to_csv(path / "predictions.csv", index=False)
    return ROW.evaluate_table(path / "predictions.csv", {}, TableSettings(**settings))


def test_the_rows_of_a_split_are_judged_by_patient(table, tmp_path):
    test, whole = judged(table, tmp_path), judged(table, tmp_path, split="")
    assert (test.images, test.patients) == (6, 3)
    assert (whole.images, whole.patients) == (8, 4)
    assert test.figures.estimates["dice"].value == pytest.approx(table["lesion.dice"][2:].mean())
    assert whole.document["empty"] == [
        {
            "structure": "lesion",
            "both_empty": 0,
            "only_reference_empty": 1,
            "only_prediction_empty": 1,
            "neither_empty": 6,
        }
    ]


def test_groups_are_judged_apart(table, tmp_path):
    found = judged(table, tmp_path, groups=("site",))
    assert set(found.document["by"]) == {"site n", "site s"}
    assert any(line.startswith("  site n: Dice ") for line in found.lines)
    with pytest.raises(UserError, match="no column 'place' to judge by"):
        judged(table, tmp_path, groups=("place",))


def test_a_runs_table_alone_says_what_it_answers(table, tmp_path, capsys):
    table.to_csv(tmp_path / "predictions.csv", index=False)
    assert main(["evaluate", str(tmp_path / "predictions.csv")]) == 0
    assert "  Surface Dice " in capsys.readouterr().out
    found, document = judge(tmp_path / "predictions.csv", TableSettings())
    assert document["task"] == "segmentation"
    assert found.figures.headline == "dice"


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (
            lambda table: table.drop(columns="lesion.lesions_found"),
            {},
            "expected the columns STRUCTURE.dice, .*",
        ),
        (
            lambda table: table.assign(**{"lesion.dice": "high"}),
            {},
            r"dice: expected a number or nothing",
        ),
        (lambda table: table, {"split": "later"}, "no rows of the split 'later'"),
        (lambda table: table, {"threshold": 0.4}, "--threshold: .* holds figures of masks; it is for classes"),
    ],
)
def test_what_cannot_be_judged_is_refused(table, tmp_path, change, settings, message):
    with pytest.raises(UserError, match=message):
        judged(change(table), tmp_path, **settings)


def test_several_structures_go_through_a_table_and_back():
    masks, logits = squares(6)
    known = examples(masks, logits)
    both = {name: np.concatenate([array, array[::-1]], axis=-1) for name, array in known.targets.items()}
    outputs = {name: np.concatenate([array, array], axis=-1) for name, array in known.outputs.items()}
    question = replace(QUESTION, structures=("lung", "lung_left"))
    table = per_image(replace(known, targets=both, outputs=outputs), question, plain(question.structures, 2.0, "keep"))
    again = long(wide(table, question.structures), question.structures)
    ordered = table.sort_values(["structure", "image"], ignore_index=True)
    pd.testing.assert_frame_equal(
        again.sort_values(["structure", "image"], ignore_index=True)[list(ordered)], ordered, check_dtype=False
    )

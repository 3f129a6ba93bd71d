import re

import numpy as np
import pandas as pd
import pytest

from kmedtl.errors import UserError
from kmedtl.tasks.classification.labelled_predictions import from_table, read

BINARY = {"id": ["a", "b", "c"], "patient": ["p", "p", "q"], "label": [0, 1, 1], "logit": [-1.0, 0.5, 2.0]}
SEVERAL = {"label": ["cat", "dog", "cow"], "logit_cat": [2.0, 0, 0], "logit_dog": [0, 2.0, 1], "logit_cow": [0, 0, 0.5]}
FINDINGS = {
    "label_x": [0, 1, -1],
    "label_y": [1, "", 0],
    "probability_x": [0.1, 0.9, 0.4],
    "probability_y": [0.6, 0.2, 0.5],
}


def answers(columns, **options):
    return from_table(pd.DataFrame(columns), "predictions.csv", **options)


@pytest.mark.parametrize(
    ("columns", "kind", "findings", "targets", "decisions"),
    [
        (BINARY, "binary", ("1",), [[0], [1], [1]], [[0], [1], [1]]),
        (BINARY | {"label": ["no", "yes", "yes"]}, "binary", ("yes",), [[0], [1], [1]], [[0], [1], [1]]),
        (BINARY | {"label": [0.0, 1.0, np.nan]}, "binary", ("1",), [[0], [1]], [[0], [1]]),
        (SEVERAL, "multi_class", ("cat", "dog", "cow"), np.eye(3), [[1, 0, 0], [0, 1, 0], [0, 1, 0]]),
        (
            SEVERAL | {"label": [0, 1, 2]},
            "multi_class",
            ("cat", "dog", "cow"),
            np.eye(3),
            [[1, 0, 0], [0, 1, 0], [0, 1, 0]],
        ),
        (FINDINGS, "multi_label", ("x", "y"), [[0, 1], [1, -1], [-1, 0]], [[0, 1], [1, 0], [0, 1]]),
    ],
    ids=["0 and 1", "names", "a label missing", "classes by name", "classes by index", "findings"],
)
def test_the_columns_tell_the_question(columns, kind, findings, targets, decisions):
    found = answers(columns)
    assert (found.kind, found.findings) == (kind, findings)
    assert np.array_equal(found.targets, targets)
    assert np.array_equal(found.decisions, decisions)
    assert found.targets.dtype == np.int8
    assert found.logits.shape == found.probabilities.shape == found.targets.shape
    if kind == "multi_class":
        assert np.allclose(found.probabilities.sum(axis=1), 1)


def test_logits_and_probabilities_follow_from_each_other_but_are_taken_as_they_are():
    logits = np.array(BINARY["logit"])
    sigmoid = 1 / (1 + np.exp(-logits))
    assert np.allclose(answers(BINARY).probabilities[:, 0], sigmoid)
    without = {name: column for name, column in BINARY.items() if name != "logit"}
    assert np.allclose(answers(without | {"probability": sigmoid}).logits[:, 0], logits)
    calibrated = answers(BINARY | {"probability": [0.2, 0.3, 0.4]})
    assert np.array_equal(calibrated.probabilities[:, 0], [0.2, 0.3, 0.4])
    assert np.array_equal(calibrated.logits[:, 0], logits)
    assert np.isfinite(answers(without | {"probability": [0.0, 1.0, 1e-300]}).logits).all()


@pytest.mark.parametrize(
    ("extra", "options", "decisions"),
    [
        ({}, {"threshold": 0.8}, [0, 0, 1]),
        ({"threshold": [0.0, 0.9, 0.5]}, {}, [1, 0, 1]),
        ({"decision": [1, 0, 0], "threshold": [0.5] * 3}, {}, [1, 0, 0]),
        ({"decision": [1, 0, 0]}, {"threshold": 0.1}, [1, 1, 1]),
    ],
    ids=["option", "column", "decided", "option first"],
)
def test_the_operating_point_is_the_options_then_the_tables(extra, options, decisions):
    found = answers(BINARY | extra, **options)
    assert np.array_equal(found.decisions[:, 0], decisions)
    assert not any("operating point" in note for note in found.notes)


def test_what_was_assumed_is_said():
    columns = {name: column for name, column in BINARY.items() if name not in ("id", "patient")}
    found = answers(columns | {"label": ["ill", "well", ""], "sex": ["F", "", "M"]})
    told = " ".join(found.notes)
    assert "each image counts as a patient of its own" in told
    assert "from probability 0.5 on" in told
    assert "well counts as the finding" in told
    assert "1 of 3 images have no known label" in told
    assert list(found.ids) == ["row 2", "row 3"]
    assert list(found.groups) == ["sex"]
    assert answers(columns | {"label": ["ill", "well", "ill"]}, finding="ill").findings == ("ill",)
    nameless = answers(BINARY | {"patient": ["p", "", ""]})
    assert len(set(nameless.patients)) == 3
    assert any("2 images name no patient" in note for note in nameless.notes)


def test_only_the_test_split_counts_where_there_are_splits():
    found = answers(BINARY | {"split": ["val", "test", "test"]})
    assert list(found.ids) == ["b", "c"]
    assert len(answers(BINARY | {"split": ["val", "test", "test"]}, split="").ids) == 3
    with pytest.raises(UserError, match=r"no row of the split 'train'\. Found: val, test"):
        answers(BINARY | {"split": ["val", "test", "test"]}, split="train")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (BINARY | {"logit": [0.0, np.nan, 1.0]}, r"row 3, logit: expected a finite number\. Received: 'nan'"),
        (BINARY | {"logit": [0.0, 1.0, np.inf]}, r"row 4, logit: expected a finite number"),
        (BINARY | {"logit": ["0", "high", "1"]}, r"row 3, logit: expected a finite number\. Received: 'high'"),
        (BINARY | {"probability": [0.1, 1.2, 0.3]}, r"row 3, probability: expected 0 to 1\. Received: 1\.2"),
        (BINARY | {"probability": [0.1, 1.0000001, 0.3]}, r"expected 0 to 1\. Received: 1\.0000001"),
        (
            {"label": ["x", "y"], "probability_x": [0.3, 0.9], "probability_y": [0.7, 0.9]},
            r"row 3: expected probabilities of the classes that sum to 1\. Received: 1\.8",
        ),
        (BINARY | {"id": ["a", "b", "a"]}, "id 'a' is in two rows"),
        (BINARY | {"label": [0, 1, 2]}, r"label: expected 0 and 1, or two names\. Found: 0, 1, 2"),
        (BINARY | {"label": ["", "-1", ""]}, "expected 0 and 1, or two names|no image has a known label"),
        (BINARY | {"decision": [1, 0, "maybe"]}, r"row 4, decision: expected 0 or 1\. Received: 'maybe'"),
        (SEVERAL | {"label": ["cat", "dog", "horse"]}, r"row 4, label: expected one of cat, dog, cow, or its index"),
        ({"id": ["a"], "truth": [1], "score": [0.3]}, r"expected columns label with logit.*Found: id, truth, score"),
        (FINDINGS | {"label_z": [0, 1, 1]}, "expected columns"),
        ({name: FINDINGS[name] for name in ("label_x", "label_y", "probability_x")}, "expected columns"),
        (SEVERAL | {"logit_cow": [0, 0, ""]}, r"row 4, logit_cow"),
        ({name: [] for name in BINARY}, "no rows"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(columns, message):
    with pytest.raises(UserError, match=message) as caught:
        answers(columns)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "form",
    [
        "id,label,probability\n{rows}",
        "id;label;probability\n{rows}",
        "id\tlabel\tprobability\n{rows}",
        "ID, Label ,PROBABILITY\n{rows}",
        "image,y_true,y_score\n{rows}",
        "filename;target;prob\n{rows}",
        ",id,label,probability\n{numbered}",
    ],
)
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_of_other_programs_are_read(tmp_path, form, decimal, encoding):
    separator = next(one for one in ";\t," if one in form)
    if decimal == "," and separator != ";":
        pytest.skip("decimal commas come with semicolons")
    rows = [(f"00{number}", number % 2, 0.1 + number / 10) for number in range(6)]
    lines = [
        separator.join([name, str(label), str(round(chance, 2)).replace(".", decimal)]) for name, label, chance in rows
    ]
    numbered = [f"{number}{separator}{line}" for number, line in enumerate(lines)]
    (tmp_path / "p.csv").write_text(form.format(rows="\n".join(lines), numbered="\n".join(numbered)), encoding=encoding)
    found = read(tmp_path / "p.csv")
    assert list(found.ids) == [name for name, _, _ in rows]
    assert np.allclose(found.probabilities[:, 0], [chance for _, _, chance in rows])
    assert list(found.targets[:, 0]) == [label for _, label, _ in rows]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "not a CSV|expected columns"),
        (b"label,logit\na,1,2\nb,0,1\n", "more values than the header"),
        (b"label,logit_x,logit_x,logit_y\nx,1,2,3\n", "two columns are called 'logit_x'"),
    ],
    ids=["empty", "picture", "a column without a name", "a name twice"],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content, message):
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(path)
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "absent.csv")


@pytest.mark.parametrize("labels", [["1.0", "0.0", ""], ["True", "False", "-1"]])
def test_labels_with_gaps_are_read_as_other_programs_write_them(labels):
    found = answers({"label_x": labels, "label_y": [1, 0, 1], "logit_x": [0, 0, 0], "logit_y": [0, 0, 0]})
    assert found.targets[:, 0].tolist() == [1, 0, -1]


def test_a_class_called_by_a_number_is_never_taken_for_an_index():
    found = answers({"label": [1.0, 2.0]} | {f"logit_{name}.0": [0, 0] for name in (1, 2, 3)})
    assert found.targets.argmax(axis=1).tolist() == [0, 1]


def test_the_smallest_probabilities_keep_their_order():
    found = answers({"label": [0, 1], "probability": [1e-30, 1e-20]})
    assert found.logits[0, 0] < found.logits[1, 0]


def test_far_logits_overflow_without_a_word(recwarn):
    found = answers({"label": ["x", "y"], "logit_x": [1e308, -1e308], "logit_y": [-1e308, 1e308]})
    assert found.probabilities.tolist() == [[1, 0], [0, 1]]
    assert not recwarn.list


def test_a_written_table_is_read_as_it_was(tmp_path):
    classes = ["None", "NA", "1"]
    columns = {"label": classes, "id": ["007", "7", "1e3"], "patient": ["01", "1", "1.0"]}
    table = pd.DataFrame(columns | {f"logit_{name}": row for name, row in zip(classes, 3 * np.eye(3), strict=True)})
    table.to_csv(tmp_path / "predictions.csv", index=False)
    found = read(tmp_path / "predictions.csv")
    assert found.findings == tuple(classes)
    assert list(found.ids) == columns["id"]
    assert list(found.patients) == columns["patient"]
    assert np.array_equal(found.targets, np.eye(3))


@pytest.mark.parametrize(
    ("logits", "probabilities", "rows"),
    [
        ([-1.0, 0.0, 1.0, 2.0], [0.2, 0.4, 0.6, 0.8], None),
        ([-1.0, 0.0, 1.0, 2.0], [0.2, 0.2, 0.2, 0.8], None),  # isotonic calibration makes ties
        ([-1.0, 0.5, 0.5, 2.0], [0.2, 0.6, 0.4, 0.8], None),  # and so do rounded logits
        ([-1.0, 0.0, 1e-8, 2.0], [0.2, 0.4 + 1e-8, 0.4, 0.8], None),
        ([1000.0, 1000.0001, 1.0, 2.0], [0.9, 0.8, 0.1, 0.2], None),
        ([-1.0, 0.0, 1.0, 2.0], [0.2, 0.6, 0.4, 0.8], ("row 4", "row 3")),
        ([2.0, 1.0, 0.0, -1.0], [0.2, 0.4, 0.6, 0.8], ("row 4", "row 5")),
    ],
)
def test_logits_and_probabilities_must_order_the_images_alike(logits, probabilities, rows):
    one = {"label": [0, 1, 0, 1], "logit": logits, "probability": probabilities}
    several = {f"{name}_{finding}": values for finding in "xy" for name, values in one.items()}
    several["probability_x"] = [0.1, 0.1, 0.1, 0.1]
    for columns in (one, several):
        if rows is None:
            from_table(pd.DataFrame(columns), "table")
            continue
        with pytest.raises(UserError) as refused:
            from_table(pd.DataFrame(columns), "table")
        message = str(refused.value)
        assert "\n" not in message
        assert re.search(f"{rows[0]} has the higher logit.*{rows[1]} the higher probability", message)


@pytest.mark.parametrize(
    ("extra", "options", "expected"),
    [
        ({}, {}, [0, 0]),
        ({}, {"threshold": (0.9, 0.1)}, [0, 1]),
        ({"share_A": [0.9, 0.5], "share_B": [0.1, 0.5]}, {}, [0, 0]),
        ({"share_A": [0.5, 0.9], "share_B": [0.5, 0.1]}, {}, [0, 1]),
    ],
)
def test_of_classes_the_most_probable_beside_its_share_is_called(extra, options, expected):
    columns = {"label": ["A", "B"], "probability_A": [0.95, 0.7], "probability_B": [0.05, 0.3]}
    found = from_table(pd.DataFrame(columns | extra), "table", **options)
    assert found.decisions.argmax(axis=1).tolist() == expected

import numpy as np
import pandas as pd
import pytest

from kmedtl.system.text_tables import aligned
from kmedtl.tasks.classification import summary
from kmedtl.tasks.classification.labelled_predictions import from_table
from kmedtl.tasks.classification.metrics import measure
from kmedtl.tasks.classification.subgroups import subgroups

WIDE = 120


def judged(classes, name="class {}", rows=900, **columns):
    random = np.random.default_rng(0)
    names = [name.format(number) for number in range(classes)]
    label = np.arange(rows) % classes
    logits = random.normal(2 * np.eye(classes)[label])
    table = pd.DataFrame({f"logit_{one}": column for one, column in zip(names, logits.T, strict=True)})
    label = [names[one] for one in label]
    return from_table(table.assign(label=label, patient=np.arange(rows) // 2, **columns), "table")


@pytest.mark.parametrize("classes", [3, 12, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["c{}", "{}, a class with quite a long name, as dermatology has them: {}"])
def test_tables_fit_a_terminal_however_many_the_classes_and_long_their_names(classes, name):
    name = name.replace("{}", "{0}")
    sex = np.array(["f", "m"])[np.arange(900) // 2 % 2]
    answers = judged(classes, name, sex=sex, hospital=[f"a hospital far away, no. {row % 5}" for row in range(900)])
    lines = summary.lines(measure(answers))
    assert max(map(len, lines)) <= WIDE
    assert len(lines) <= 60
    groups = subgroups(answers, ["sex", "hospital"]) if classes < 20 else ()
    assert max(map(len, summary.group_lines(groups)), default=0) <= WIDE
    if classes > summary.MOST_ROWS:
        assert any(line.startswith("… and 80 more") for line in lines)


def test_what_does_not_fit_beside_the_rest_follows_below_with_its_row_named():
    rows = [["run", *(f"setting {number}" for number in range(9))], ["first", *9 * ["a value of twenty-one"]]]
    lines = aligned(rows)
    assert max(map(len, lines)) <= WIDE
    assert [line.split()[0] for line in lines if line] == 2 * ["run", "first"]
    assert all(f"setting {number}" in "\n".join(lines) for number in range(9))


def binary(shift, patients=60, images=2, **columns):
    random = np.random.default_rng(1)
    patient = np.repeat(np.arange(patients), images)
    label = patient % 2
    return from_table(
        pd.DataFrame({"patient": patient, "label": label, "logit": random.normal(shift * label)} | columns), "table"
    )


@pytest.mark.parametrize(("shift", "patients", "says"), [(0.0, 60, True), (3.0, 60, False), (3.0, 2, True)])
def test_an_area_that_may_be_chance_is_said_in_a_sentence(shift, patients, says):
    lines = summary.lines(measure(binary(shift, patients)))
    sentence = f"The AUC's interval includes 0.5: on these {patients} patients the model can't be told from chance."
    assert any(sentence in line for line in lines) == says


def test_what_is_no_number_is_not_called_chance():
    answers = from_table(pd.DataFrame({"label": [1, 1], "logit": [0.0, 1.0]}), "table")
    assert not any("chance" in line for line in summary.lines(measure(answers)))


def test_the_chance_of_several_classes_is_that_of_their_mean():
    answers = judged(4)
    constant = from_table(
        pd.DataFrame({f"logit_{name}": np.zeros(40) for name in "abc"}).assign(label=np.arange(40) % 3), "table"
    )
    assert not any("chance" in line for line in summary.lines(measure(answers)))
    assert any("The Macro AUC's interval includes 0.5" in line for line in summary.lines(measure(constant)))


def test_groups_of_a_few_patients_are_one_line_each():
    sex = np.array(["f", "m"])[np.arange(120) // 2 // 2 % 2]
    sex[:7], age = "", np.arange(120) // 2 % 50 + 20
    groups = subgroups(binary(2.0, sex=sex, age=age), ["sex"])
    lines = summary.group_lines(groups)
    assert "sex unknown: 7 images of 4 patients, too few to judge apart" in lines
    assert sum(line.startswith("sex ") for line in lines) == 3
    alone = summary.group_lines(tuple(group for group in groups if group.few))
    assert alone == ["", "sex unknown: 7 images of 4 patients, too few to judge apart"]


def test_a_group_with_too_few_of_some_findings_names_them():
    site = np.where(np.arange(900) < 870, "A", "B")
    site[np.arange(900) % 3 == 2] = "A"
    lines = summary.group_lines(subgroups(judged(3, site=site), ["site"]))
    told = [line for line in lines if "too few" in line]
    assert told == ["site B: 20 images of 15 patients, too few to judge apart for class 2"]

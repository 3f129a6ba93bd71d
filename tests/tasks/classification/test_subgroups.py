import numpy as np
import pandas as pd
import pytest

from kmedtl.errors import UserError
from kmedtl.statistics.confidence import delong_auc
from kmedtl.statistics.groups import bands, check_columns
from kmedtl.tasks.classification.labelled_predictions import from_table
from kmedtl.tasks.classification.subgroups import subgroups


def answers_of(seed, patients=400, worse=0.0, visits=2, **columns):
    """Two images a patient; of every second patient the scores say less by `worse`."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), visits)
    label = (np.arange(patients) // 2 % 2)[patient]
    skill = np.where(patient % 2, 1.5 - worse, 1.5)
    logit = skill * (label - 0.5) + random.normal(size=patients)[patient] * 0.7 + 0.5 * random.normal(size=len(patient))
    table = pd.DataFrame({"patient": patient, "label": label, "logit": logit, "sex": np.where(patient % 2, "F", "M")})
    return from_table(table.assign(**columns), "table")


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        (
            "PatientAge",
            ["011M", "017Y", "018Y", "040Y", "065Y", "101Y", ""],
            ["<18", "<18", "18–39", "40–64", "65+", "65+", "unknown"],
        ),
        ("age", [0, 17, 18, 39, 40, 64, 65, 90], ["<18", "<18", "18–39", "18–39", "40–64", "40–64", "65+", "65+"]),
        (
            "Patient_Age",
            ["5", "", "50", "70", "20", "30", "41"],
            ["<18", "unknown", "40–64", "65+", "18–39", "18–39", "40–64"],
        ),
        (
            "dosage",
            [1, 2, 3, 4, 5, 6, 7, 8],
            ["<2.75", "<2.75", *["2.75 to <4.5"] * 2, *["4.5 to <6.25"] * 2, "6.25+", "6.25+"],
        ),
        ("site", ["A", None, " ", "B"], ["A", "unknown", "unknown", "B"]),
        ("view", [0, 1, 1, 0], ["0", "1", "1", "0"]),
    ],
)
def test_columns_become_groups(name, values, expected):
    assert list(bands(pd.Series(values, name=name))) == expected


def test_each_group_is_judged_apart_and_beside_the_others():
    answers = answers_of(0)
    women, men = subgroups(answers, ["sex"])
    rows = (answers.groups["sex"] == "F").to_numpy()
    expected = delong_auc(answers.targets[rows, 0], answers.logits[rows, 0], answers.patients[rows])
    assert (women.name, women.images, women.patients) == ("F", 400, 200)
    assert women.estimates["auc"] == expected
    assert women.gaps["auc"].value == pytest.approx(expected.value - men.estimates["auc"].value)
    assert women.gaps["auc"].low == pytest.approx(-men.gaps["auc"].high)


def test_a_group_that_fares_worse_is_flagged():
    women, men = subgroups(answers_of(1, worse=1.4), ["sex"])
    assert "auc" in women.flagged
    assert women.gaps["auc"].high < 0 < men.gaps["auc"].low


@pytest.mark.slow
def test_chance_flags_few_groups_and_gaps_cover_the_truth():
    flagged = covered = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        groups = subgroups(answers_of(seed, site=random.choice(list("ABCD"), 400).repeat(2)), ["sex", "site"])
        flagged += any(group.flagged for group in groups)
        covered += groups[0].gaps["auc"].low <= 0 <= groups[0].gaps["auc"].high
    assert flagged / 200 <= 0.08
    assert 0.92 <= covered / 200 <= 0.98


def test_a_gap_within_patients_is_narrower_than_between():
    within = subgroups(answers_of(2, view=["front", "side"] * 400), ["view"])[0].gaps["auc"]
    between = subgroups(answers_of(2), ["sex"])[0].gaps["auc"]
    assert within.high - within.low < 0.8 * (between.high - between.low)


@pytest.mark.filterwarnings("error")
def test_small_groups_have_figures_but_no_interval_and_missing_ones_a_group():
    site = np.array(["A"] * 760 + ["B"] * 20 + [""] * 20)
    found = {group.name: group for group in subgroups(answers_of(3, site=site), ["site"])}
    assert list(found) == ["A", "B", "unknown"]
    assert (found["B"].patients, found["B"].gaps, found["B"].flagged) == (10, {}, ())
    assert 0 <= found["B"].estimates["auc"].value <= 1
    assert np.isnan(found["B"].estimates["auc"].low)
    assert "fewer than 10 patients of a class" in str(found["B"].estimates["auc"])


@pytest.mark.filterwarnings("error")
def test_a_group_of_one_class_says_so():
    answers = answers_of(4, patients=100)
    answers.groups["arm"] = np.where(answers.targets[:, 0] == 1, "ill", "well")
    ill = subgroups(answers, ["arm"])[0]
    assert str(ill.estimates["auc"]) == "– (one class only)"
    assert str(ill.estimates["specificity"]) == "– (no image to count)"
    assert 0 < ill.estimates["sensitivity"].value <= 1


def test_unknown_columns_and_endless_groups_are_refused():
    with pytest.raises(UserError, match=r"no column 'sxe'\. Did you mean 'sex'"):
        subgroups(answers_of(0), ["sxe"])
    with pytest.raises(UserError, match="'name' has 400 different values; expected 30 at most"):
        subgroups(answers_of(0, name=[f"n{row // 2}" for row in range(800)]), ["name"])


@pytest.mark.parametrize(
    ("column", "word"),
    [
        ("path", "no column 'path' to group by"),
        ("sax", "Did you mean 'sex'"),
        ("code", "30 groups at most. Received: 'code' of 40"),
    ],
)
def test_columns_that_make_no_groups_are_refused_before_anything_trains(column, word):
    table = pd.DataFrame({"path": "a.png", "sex": ["F", "M"] * 20, "code": [f"c{row}" for row in range(40)]})
    check_columns(table, ["sex"])
    with pytest.raises(UserError, match=word):
        check_columns(table, [column])

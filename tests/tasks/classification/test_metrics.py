import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn import metrics as sk

from kmedtl.statistics.agreement import mcnemar
from kmedtl.statistics.confidence import score_interval
from kmedtl.statistics.ranking import auc, average_precision
from kmedtl.tasks.classification.labelled_predictions import from_table
from kmedtl.tasks.classification.metrics import mean_auc, measure


def table_of(random, patients, prevalence=0.4, shift=1.2, ties=False):
    """One to four images a patient, who have either answer, and scores alike."""
    patient = np.repeat(np.arange(patients), random.integers(1, 5, patients))
    label = (random.random(len(patient)) < prevalence).astype(int)
    logit = 0.4 * random.normal(size=patients)[patient] + 0.8 * random.normal(size=len(patient)) + shift * (label - 0.5)
    logit = np.round(logit, 1) if ties else logit
    return pd.DataFrame({"patient": patient, "label": label, "logit": logit, "probability": 1 / (1 + np.exp(-logit))})


def graded(random, rows=300, grades=4, ties=False):
    """Answers to a question of several grades."""
    label = random.integers(0, grades, rows)
    logits = -np.abs(np.arange(grades) - label[:, None] - random.normal(size=(rows, 1))) + random.normal(
        size=(rows, grades)
    )
    logits = np.round(logits, 1) + 1e-9 * np.arange(grades) if ties else logits
    table = pd.DataFrame({f"logit_g{grade}": logits[:, grade] for grade in range(grades)})
    return table.assign(label=label, patient=np.arange(rows) // 2)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("prevalence", [0.05, 0.4, 0.9])
def test_binary_figures_are_scikit_learns(prevalence, ties):
    table = table_of(np.random.default_rng(1), 120, prevalence, ties=ties)
    label, logit, decided = table["label"], table["logit"], table["probability"] >= 0.4
    expected = {
        "auc": sk.roc_auc_score(label, logit),
        "average_precision": sk.average_precision_score(label, logit),
        "accuracy": sk.accuracy_score(label, decided),
        "balanced_accuracy": sk.balanced_accuracy_score(label, decided),
        "sensitivity": sk.recall_score(label, decided),
        "specificity": sk.recall_score(label, decided, pos_label=0),
        "ppv": sk.precision_score(label, decided),
        "npv": sk.precision_score(label, decided, pos_label=0),
        "f1": sk.f1_score(label, decided),
        "brier": sk.brier_score_loss(label, table["probability"]),
    }
    found = measure(from_table(table, "table", threshold=0.4))
    assert {name: estimate.value for name, estimate in found.estimates.items()} == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(found.confusion, sk.confusion_matrix(label, decided))
    assert all(estimate.low <= estimate.value <= estimate.high > estimate.low for estimate in found.estimates.values())


@pytest.mark.parametrize("ties", [False, True])
def test_figures_of_several_classes_are_scikit_learns(ties):
    table = graded(np.random.default_rng(2), ties=ties)
    answers = from_table(table, "table")
    label, decided, likely = table["label"], answers.logits.argmax(axis=1), answers.probabilities
    areas = [sk.roc_auc_score(label == grade, likely[:, grade]) for grade in range(4)]
    expected = {
        "macro_auc": np.mean(areas),
        "weighted_auc": np.average(areas, weights=np.bincount(label)),
        "accuracy": sk.accuracy_score(label, decided),
        "balanced_accuracy": sk.balanced_accuracy_score(label, decided),
        "macro_f1": sk.f1_score(label, decided, average="macro"),
        "kappa": sk.cohen_kappa_score(label, decided),
        "linear_kappa": sk.cohen_kappa_score(label, decided, weights="linear"),
        "quadratic_kappa": sk.cohen_kappa_score(label, decided, weights="quadratic"),
        "brier": ((likely - np.eye(4)[label]) ** 2).sum(axis=1).mean(),
    }
    found = measure(answers, ordered=True)
    assert {name: estimate.value for name, estimate in found.estimates.items()} == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(found.confusion, sk.confusion_matrix(label, decided))
    assert "quadratic_kappa" not in measure(answers).estimates
    for grade, (name, estimates) in enumerate(found.by_finding.items()):
        assert estimates["auc"].value == pytest.approx(areas[grade])
        assert estimates["sensitivity"].value == pytest.approx(sk.recall_score(label == grade, decided == grade))
        assert estimates["ppv"].value == pytest.approx(sk.precision_score(label == grade, decided == grade))
        assert np.array_equal(found.confusions[name], sk.confusion_matrix(label == grade, decided == grade))


def test_several_findings_leave_out_what_is_unknown():
    random = np.random.default_rng(3)
    truth = random.integers(-1, 2, (200, 3))
    truth[:, 2] = np.minimum(truth[:, 2], 0)  # nobody has the third
    logits = truth + random.normal(size=truth.shape)
    columns = {f"label_{name}": truth[:, n] for n, name in enumerate("abc")}
    columns |= {f"logit_{name}": logits[:, n] for n, name in enumerate("abc")}
    answers = from_table(pd.DataFrame(columns), "table")
    found, known = measure(answers), answers.targets >= 0
    assert found.kind == "multi_label"
    assert found.estimates["macro_auc"].value == pytest.approx(mean_auc(answers.targets, answers.logits))
    assert "2 of 3" in found.estimates["macro_auc"].method
    micro = sk.roc_auc_score(answers.targets[known], answers.logits[known])
    assert found.estimates["micro_auc"].value == pytest.approx(micro)
    first = answers.targets[:, 0] >= 0
    expected = sk.f1_score(answers.targets[first, 0], answers.logits[first, 0] >= 0)
    assert found.by_finding["a"]["f1"].value == pytest.approx(expected)
    assert found.by_finding["c"]["auc"].method == found.by_finding["c"]["sensitivity"].method == "no image with c"
    assert 0 < found.by_finding["c"]["specificity"].value < 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("labels", "logits", "undefined"),
    [
        ([1, 1, 1], [0.0, 1.0, 2.0], {"auc", "average_precision", "balanced_accuracy", "specificity", "npv"}),
        ([0, 0, 0], [-1.0, -2.0, -3.0], {"auc", "average_precision", "balanced_accuracy", "sensitivity", "ppv", "f1"}),
        ([0, 1, 1], [0.5, 0.5, 0.5], {"npv"}),
        ([0, 1, 0], [-1.0, 1.0, -2.0], set()),
        ([1], [1.0], {"auc", "average_precision", "balanced_accuracy", "specificity", "npv"}),
    ],
    ids=["one class", "other class", "constant", "perfect", "one image"],
)
def test_what_the_data_cannot_tell_is_said_and_not_guessed(labels, logits, undefined):
    probability = 1 / (1 + np.exp(-np.array(logits)))
    table = pd.DataFrame({"label": labels, "logit": logits, "probability": probability, "patient": range(len(labels))})
    estimates = measure(from_table(table, "table", threshold=0.5)).estimates
    assert {name for name, estimate in estimates.items() if np.isnan(estimate.value)} == undefined
    for name, estimate in estimates.items():
        if name in undefined:
            assert estimate.method.startswith(("no image of class", "nothing called"))
        else:
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
            assert name == "brier" or estimate.high - estimate.low > 0.3  # so few patients tell little


@pytest.mark.filterwarnings("error")
def test_a_class_without_images_leaves_no_mean_over_classes():
    table = graded(np.random.default_rng(4)).query("label != 2")
    found = measure(from_table(table, "table"), ordered=True)
    undefined = {name for name, estimate in found.estimates.items() if np.isnan(estimate.value)}
    assert undefined == {"macro_auc", "weighted_auc", "balanced_accuracy", "macro_f1"}
    assert found.estimates["macro_auc"].method == "no image of class g2"


def test_of_several_classes_what_is_added_to_all_logits_of_a_row_changes_nothing():
    random = np.random.default_rng(4)
    label = random.integers(0, 3, 90)
    logits = random.normal(size=(90, 3)) + 2 * np.eye(3)[label]
    tables = [
        pd.DataFrame({"label": label} | {f"logit_{name}": column for name, column in zip("xyz", some.T, strict=True)})
        for some in (logits, logits + 5 * random.normal(size=(90, 1)))
    ]
    plain, moved = (measure(from_table(table, "table")).estimates["macro_auc"].value for table in tables)
    assert moved == pytest.approx(plain, abs=1e-3)


def test_a_finding_that_nobody_knows_has_no_figures():
    table = pd.DataFrame({"label_x": [0, 1], "logit_x": [0.0, 1], "label_y": [-1, -1], "logit_y": [0.0, 1]})
    assert math.isnan(measure(from_table(table, "table")).by_finding["y"]["brier"].value)


def test_who_calls_all_images_the_same_has_a_kappa_with_an_interval():
    table = pd.DataFrame({"label": 20 * ["x", "y", "z"], "logit_x": 0.0, "logit_y": 2.0, "logit_z": 1.0})
    kappa = measure(from_table(table, "table")).estimates["kappa"]
    assert kappa.low < -0.01 < kappa.value == 0 < 0.01 < kappa.high


def test_figures_are_written_by_name_for_every_kind():
    binary = measure(from_table(table_of(np.random.default_rng(0), 50), "table", threshold=0.5)).to_dict()
    assert set(binary["confusion"]) == {"tn", "fp", "fn", "tp"}
    several = measure(from_table(graded(np.random.default_rng(0)), "table")).to_dict()
    assert several["confusion"]["classes"] == ("g0", "g1", "g2", "g3")
    assert np.sum(several["confusion"]["counts"]) == 300
    assert set(several["by_finding"]) == {"g0", "g1", "g2", "g3"}
    assert set(several["by_finding"]["g1"]["auc"]) == {"value", "low", "high", "method"}


def test_average_precision_knows_what_each_row_adds():
    table = table_of(np.random.default_rng(5), 40, ties=True)
    label, logit = table["label"].to_numpy(), table["logit"].to_numpy()
    value, added = average_precision(label, logit)
    for row in range(0, len(table), 7):
        weights = np.ones(len(table))
        weights[row] += 1e-6
        moved = sk.average_precision_score(label, logit, sample_weight=weights)
        assert added[row] == pytest.approx((moved - value) / 1e-6, abs=1e-6)
    assert np.isnan(auc(np.zeros(3), np.arange(3)))


@pytest.mark.slow
@pytest.mark.parametrize(("patients", "prevalence", "shift"), [(60, 0.4, 1.2), (150, 0.15, 2.0)])
def test_intervals_cover_the_truth_where_images_repeat(patients, prevalence, shift):
    random = np.random.default_rng(6)
    truth = measure(from_table(table_of(random, 200_000, prevalence, shift), "table", threshold=0.5)).estimates
    covered = dict.fromkeys(truth, 0)
    for _ in range(1000):
        found = measure(from_table(table_of(random, patients, prevalence, shift), "table", threshold=0.5))
        for name, estimate in found.estimates.items():
            covered[name] += estimate.low <= truth[name].value <= estimate.high
    assert {name: count for name, count in covered.items() if not 930 <= count <= 990} == {}, covered


def test_mcnemar_is_the_textbooks():
    # Bentur et al., in Fagerland, Lydersen & Laake (2013), table 1: 1 and 7 discordant pairs, mid-p 0.039.
    first = np.repeat([True, True, False, False], [1, 1, 7, 12])
    second = np.repeat([True, False, True, False], [1, 1, 7, 12])
    found = mcnemar(first, second, np.arange(21))
    assert (found.only_first, found.only_second) == (1, 7)
    assert found.p_value == pytest.approx(0.0391, abs=5e-5)
    # Agresti, Categorical Data Analysis, approval ratings: 150 and 86 discordant, z² = 17.36.
    first, second = np.repeat([True, False], [150, 86]), np.repeat([False, True], [150, 86])
    exact = 2 * (binom.cdf(85, 236, 0.5) + binom.pmf(86, 236, 0.5) / 2)
    assert mcnemar(first, second, np.arange(236)).p_value == pytest.approx(exact)
    many = mcnemar(np.tile(first, 10), np.tile(second, 10), np.arange(2360))
    assert many.method == "McNemar by patient"
    assert mcnemar(first, first, np.arange(236)).p_value == 1


def test_mcnemar_holds_its_level_where_patients_have_several_images():
    random, refused, naive = np.random.default_rng(7), 0, 0
    for _ in range(500):
        patient = np.repeat(np.arange(60), 5)
        first, second = (random.random((2, 60)) < 0.8)[:, patient] ^ (random.random((2, 300)) < 0.05)
        refused += mcnemar(first, second, patient).p_value < 0.05
        naive += mcnemar(first, second, np.arange(300)).p_value < 0.05
    assert refused / 500 < 0.08
    assert naive / 500 > 0.2


def of_patients(positive, negative, images=100, seed=0):
    """Patients of one class each, of as many images each, who are as easily told apart as their images are noisy."""
    random = np.random.default_rng(seed)
    label = np.repeat([1] * positive + [0] * negative, images)
    logit = random.normal(1.4 * (label - 0.5))
    table = {"patient": np.arange(len(label)) // images, "label": label, "logit": logit}
    return measure(from_table(pd.DataFrame(table), "table", threshold=0.5)).estimates


@pytest.mark.parametrize(
    ("positive", "negative", "widest"),
    [
        (1, 1, {"auc", "average_precision", "balanced_accuracy", "sensitivity", "specificity", "f1"}),
        (1, 4, {"auc", "average_precision", "sensitivity", "f1"}),
        (4, 1, {"auc", "average_precision", "specificity"}),
    ],
)
def test_what_one_patient_carries_may_be_anything(positive, negative, widest):
    found = of_patients(positive, negative)
    assert {name for name, estimate in found.items() if (estimate.low, estimate.high) == (0, 1)} == widest
    assert all("one patient" in found[name].method for name in widest)


def test_one_patient_of_both_classes_tells_nothing():
    label = np.arange(100) % 2
    table = pd.DataFrame({"patient": "a", "label": label, "logit": label + np.sin(np.arange(100))})
    found = measure(from_table(table, "table")).estimates
    assert {(estimate.low, estimate.high) for estimate in found.values()} == {(0, 1)}


@pytest.mark.parametrize("patients", [2, 3, 4])
def test_below_five_patients_images_count_no_more_than_patients(patients):
    figures = of_patients(patients, patients)
    for name in ("auc", "average_precision", "sensitivity", "specificity"):
        low, high = score_interval(figures[name].value, patients)
        assert figures[name].low <= low < high <= figures[name].high


def test_a_class_of_one_patient_widens_a_mean_over_classes_and_leaves_the_rest():
    random = np.random.default_rng(8)
    label = np.repeat([0, 1, 2], [400, 400, 10])
    logits = random.normal(2 * np.eye(3)[label])
    columns = {f"logit_{name}": column for name, column in zip("abc", logits.T, strict=True)}
    table = pd.DataFrame(columns | {"label": label})
    patients = np.arange(len(table)) // 10
    alone = measure(from_table(table.assign(patient=patients), "table")).estimates
    apart = measure(from_table(table.assign(patient=np.where(label == 2, 100 + np.arange(810), patients)), "table"))
    width = {name: estimate.high - estimate.low for name, estimate in alone.items()}
    width_apart = {name: estimate.high - estimate.low for name, estimate in apart.estimates.items()}
    assert width["balanced_accuracy"] > 2 * width_apart["balanced_accuracy"]
    assert width["balanced_accuracy"] < 1
    assert width["accuracy"] == pytest.approx(width_apart["accuracy"], rel=0.1)

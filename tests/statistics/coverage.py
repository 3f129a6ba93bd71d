"""How often the intervals hold the truth, by simulation.

`python -m tests.statistics.coverage 200` prints the table of docs/evaluation.md.

A test set has 3 to 60 patients of 1 to 30 images each. What is drawn of an image is correlated with the other images of
its patient, by 0, 0.3 or 0.9. Either a patient's images all have one label, as with a disease of the whole person, or
each its own. Every class is there, as a split of kmedtl has it.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections import defaultdict

import numpy as np
import pandas as pd

from kmedtl.statistics.confidence import auc_loss
from kmedtl.tasks.classification.conformal import coverage_and_size, sets
from kmedtl.tasks.classification.decision_curve import decision_curve
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions, from_table
from kmedtl.tasks.classification.metrics import measure
from kmedtl.tasks.classification.reliability import calibration_figures
from kmedtl.tasks.classification.selective import decision_confidence, selective_curve

PATIENTS = (3, 5, 10, 20, 60)
CORRELATIONS = (0.0, 0.3, 0.9)
BY_PATIENT = (True, False)
MOST_IMAGES = 30
SEPARATION = 1.8  # standard deviations between the classes: a true AUC of 0.90
MANY = 100_000  # patients of one image that tell the truth
SEED = 20
KNOWN = {"ece": 0.0, "adaptive_ece": 0.0, "calibration_slope": 1.0, "calibration_intercept": 0.0}  # by construction
Figures = dict[str, tuple[float, float, float]]  # value, low, high


def normal(random, patient, correlation, columns):
    """Return standard normal numbers (N, columns), those of a patient correlated."""
    shared = random.normal(size=(patient.max() + 1, columns))[patient]
    return math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * random.normal(size=(len(patient), columns))


def labelled(random, patients, most_images, classes, by_patient):
    """Return the patient and the label of each image, every class among them."""
    patient = np.repeat(np.arange(patients), random.integers(1, most_images + 1, patients))
    while True:
        label = (
            random.integers(0, classes, patients)[patient] if by_patient else random.integers(0, classes, len(patient))
        )
        if len(set(label)) == classes:
            return patient, label


def of_one_finding(random, patients, correlation, by_patient, most_images=MOST_IMAGES) -> Figures:
    patient, label = labelled(random, patients, most_images, 2, by_patient)
    first, second = normal(random, patient, correlation, 2).T
    logit = SEPARATION * (SEPARATION * (label - 0.5) + first)
    table = pd.DataFrame({"patient": patient, "label": label, "logit": logit})
    answers = from_table(table, "simulated", threshold=0.5)
    chances, decisions = answers.probabilities, answers.decisions
    found = measured(answers)
    noisier = logit + SEPARATION * second
    found["auc_loss"] = ends(auc_loss(label, logit, noisier, answers.patients))
    # A threshold as validation might have chosen it, so that the truth is one of all test sets.
    held = coverage_and_size(sets(chances, np.array([0.7, 0.7])), answers.targets, answers.patients)
    found["prediction_sets"] = ends(held.coverage)
    benefit = decision_curve(label, chances[:, 0], answers.patients, thresholds=np.array([0.3])).iloc[0]
    found["net_benefit"] = (benefit["model"], benefit["model_low"], benefit["model_high"])
    confidence = decision_confidence(chances, decisions)[:, 0]
    sure = confidence >= 0.8
    if sure.any():
        wrong = (decisions != (answers.targets == 1))[sure, 0]
        last = selective_curve(np.ones(int(sure.sum())), wrong, answers.patients[sure]).table.iloc[-1]
        found["error_where_sure"] = (last["error"], last["error_low"], last["error_high"])
    return found


def of_several_classes(random, patients, correlation, by_patient, most_images=MOST_IMAGES) -> Figures:
    patient, label = labelled(random, patients, most_images, 3, by_patient)
    logits = SEPARATION * (SEPARATION * np.eye(3)[label] + normal(random, patient, correlation, 3))
    table = pd.DataFrame({f"logit_{name}": column for name, column in zip("abc", logits.T, strict=True)})
    found = measured(from_table(table.assign(patient=patient, label=label), "simulated"), ordered=True)
    return {f"{name}, 3 classes": figure for name, figure in found.items() if name != "calibration_intercept"}


def measured(answers: LabelledPredictions, ordered: bool = False) -> Figures:
    chances = answers.probabilities, answers.targets, answers.patients, answers.kind
    return {
        name: ends(estimate)
        for name, estimate in (
            measure(answers, ordered).estimates | calibration_figures(*chances, resamples=500, seed=0)
        ).items()
    }


def ends(estimate):
    return estimate.value, estimate.low, estimate.high


def truths(simulate) -> dict[str, float]:
    found = simulate(np.random.default_rng(SEED), MANY, 0.0, False, most_images=1)
    known = {name: truth for figure, truth in KNOWN.items() for name in (figure, f"{figure}, 3 classes")}
    return {name: known.get(name, value) for name, (value, _, _) in found.items()}


def simulated(simulate, draws: int) -> pd.DataFrame:
    """Return a row a figure and cell: `patients`, `figure`, `told` (of the draws, how often not a dash), `held`."""
    truth, random, rows = truths(simulate), np.random.default_rng(SEED), []
    for patients, correlation, by_patient in itertools.product(PATIENTS, CORRELATIONS, BY_PATIENT):
        told, held = defaultdict(int), defaultdict(int)
        for _ in range(draws):
            for name, (value, low, high) in simulate(random, patients, correlation, by_patient).items():
                told[name] += value == value
                held[name] += low <= truth[name] <= high
        rows += [
            {"patients": patients, "correlation": correlation, "by_patient": by_patient}
            | {"figure": name, "told": told[name], "held": held[name]}
            for name in told
        ]
    return pd.DataFrame(rows)


def everything(draws_of_one: int = 200, draws_of_several: int = 200) -> pd.DataFrame:
    parts = simulated(of_one_finding, draws_of_one), simulated(of_several_classes, draws_of_several)
    return pd.concat(parts, ignore_index=True)


def lowest(found: pd.DataFrame, least_told: int = 50) -> pd.DataFrame:
    """Return the lowest coverage of each figure over correlations and labels, NaN where it is a dash."""
    told = found[found["told"] >= least_told]
    return told.assign(covered=told["held"] / told["told"]).pivot_table(
        index="figure", columns="patients", values="covered", aggfunc="min", sort=False
    )


if __name__ == "__main__":
    draws = [int(sys.argv[1])] * 2 if len(sys.argv) > 1 else []
    table = lowest(everything(*draws))
    print("| figure | " + " | ".join(f"{patients} patients" for patients in table) + " |")
    print("| --- |" + " --- |" * len(table.columns))
    for name, row in table.iterrows():
        cells = ["–" if covered != covered else f"{100 * covered:.0f}" for covered in row]
        print(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")

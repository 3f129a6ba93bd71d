import numpy as np
import pandas as pd
import pytest

from kmedtl.explain.cases import Case, choose_cases
from kmedtl.explain.gallery import explained
from kmedtl.tasks.classification.labelled_predictions import from_table
from tests.explain.conftest import planted

RIGHT, WRONG, UNSURE = "most confident, right", "most confident, wrong", "most uncertain"


def test_cases_of_one_finding_are_the_furthest_from_the_threshold_and_the_nearest():
    probabilities = np.array([0.99, 0.02, 0.81, 0.79, 0.10, 0.97, 0.50])[:, None]
    targets = np.array([1, 0, 1, 0, 1, 0, -1])[:, None]
    assert choose_cases(targets, probabilities, (0.8,), 1) == [Case(1, 0, RIGHT), Case(4, 0, WRONG), Case(3, 0, UNSURE)]
    rows = [case.row for case in choose_cases(targets, probabilities, (0.8,), 2)]
    assert rows == [1, 0, 4, 5, 3, 2]  # sureness: 0.975, 0.95; 0.875, 0.85; 0.0125, 0.05


def test_of_several_classes_the_called_one_is_explained():
    probabilities = np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.34, 0.36, 0.3]])
    targets = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert choose_cases(targets, probabilities, (), 1) == [Case(0, 0, RIGHT), Case(1, 1, WRONG), Case(2, 1, UNSURE)]


def test_of_several_findings_an_image_is_shown_once_and_unknown_ones_never():
    probabilities = np.array([[0.99, 0.98], [0.6, 0.3]])
    targets = np.array([[1, 1], [-1, 1]])
    assert choose_cases(targets, probabilities, (0.5, 0.5), 2) == [Case(0, 0, RIGHT), Case(1, 1, WRONG)]


@pytest.mark.parametrize("count", [0, 50])
def test_no_more_cases_than_there_are_and_equal_ones_in_order(count):
    cases = choose_cases(np.ones((4, 1)), np.full((4, 1), 0.9), (0.5,), count)
    assert [case.row for case in cases] == list(range(min(4, count)))


def test_thresholds_at_the_ends_are_no_trouble():
    cases = choose_cases(np.array([[1], [0]]), np.array([[1.0], [0.5]]), (1.0,), 1)
    assert {case.why for case in cases} <= {RIGHT, WRONG, UNSURE}
    assert choose_cases(np.array([[1], [0]]), np.array([[1.0], [0.5]]), (0.0,), 1)


def test_what_shall_not_be_seen_is_no_case(finder):
    images, targets, _ = planted(12, seed=1)
    table = pd.DataFrame({"id": [f"film {row}" for row in range(12)], "label": targets.astype(int)})
    answers = from_table(table.assign(probability=np.linspace(0.1, 0.9, 12)), "table", threshold=0.5)
    hidden = set(table["id"][::3])
    found = explained(finder, answers, (0.5,), images, "grad_cam", 4, hidden)
    assert len(found) == 8  # every other one
    assert not hidden & {tile.id for tile in found}

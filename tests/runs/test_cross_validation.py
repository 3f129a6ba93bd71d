from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from kmedtl.recipes.pneumonia import RECIPE
from kmedtl.runs import cross_validation
from kmedtl.tasks.classification.labelled_predictions import from_table
from kmedtl.tasks.classification.metrics import measure
from kmedtl.tasks.task import Evaluation

TABLES = {
    "AUC": {"label": [0, 1, 1, 0], "logit": [0.0, 1, 2, 1]},
    "Macro AUC": {"label": ["x", "y", "y", "x"], "logit_x": [0.0, 1, 2, 1], "logit_y": [1.0, 1, 0, 2]},
}


@pytest.mark.parametrize("area", TABLES)
def test_folds_of_every_kind_are_told(area):
    metrics = measure(from_table(pd.DataFrame(TABLES[area]), "table"))
    headline = next(iter(metrics.estimates))
    evaluation = Evaluation(headline, metrics.estimates, {}, {}, metrics.count, metrics.patients)
    fold = SimpleNamespace(evaluation=evaluation, audit=SimpleNamespace(synthetic=False))
    found = cross_validation.CrossValidation(RECIPE, {"A": fold, "B": fold}, pd.DataFrame(), evaluation, {})
    header, *rows = cross_validation.summary(found, Path("run")).split("\n\n")[2 - 1].splitlines()
    assert header.endswith(f"  {area}")
    assert len(rows) == 2

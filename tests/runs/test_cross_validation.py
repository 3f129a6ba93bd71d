from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from kmedtl.runs import cross_validation
from kmedtl.runs.environment import Start, now
from kmedtl.tasks.classification.labelled_predictions import from_table
from kmedtl.tasks.classification.metrics import measure

TABLES = {
    "AUC": {"label": [0, 1, 1, 0], "logit": [0.0, 1, 2, 1]},
    "Macro AUC": {"label": ["x", "y", "y", "x"], "logit_x": [0.0, 1, 2, 1], "logit_y": [1.0, 1, 0, 2]},
}


@pytest.mark.parametrize("area", TABLES)
def test_folds_of_every_kind_are_told(area):
    answers = from_table(pd.DataFrame(TABLES[area]), "table")
    metrics = measure(answers)
    fold = SimpleNamespace(metrics=metrics, audit=SimpleNamespace(synthetic=False))
    found = cross_validation.CrossValidation(
        None, {"A": fold, "B": fold}, pd.DataFrame(), answers, metrics, Start(now())
    )
    header, *rows = cross_validation.summary(found, Path("run")).split("\n\n")[2 - 1].splitlines()
    assert header.endswith(f"  {area}")
    assert len(rows) == 2

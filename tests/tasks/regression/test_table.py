"""Tables of predicted numbers, of whatever model."""

import json

import numpy as np
import pandas as pd
import pytest

import kmedtl
from kmedtl.cli import main
from kmedtl.errors import UserError


@pytest.fixture
def table():
    """Forty images of twenty patients; half of the intervals hold the truth."""
    random, truth = np.random.default_rng(0), np.arange(40.0)
    predicted = truth + random.normal(0, 2, 40)
    wide = np.where(np.arange(40) % 2, 10.0, 0.0)
    return pd.DataFrame(
        {
            "id": [f"{number}.png" for number in range(40)],
            "patient": [f"p{number // 2}" for number in range(40)],
            "split": "test",
            "truth": truth,
            "prediction": predicted,
            "low": predicted - wide,
            "high": predicted + wide,
        }
    )


def written(table, place, **options):
    table.to_csv(place / "numbers.csv", index=False, **options)
    return place / "numbers.csv"


def test_figures_are_those_of_the_columns(table, tmp_path):
    found = kmedtl.evaluate(written(table, tmp_path), task="regression").estimates
    error = table["prediction"] - table["truth"]
    assert found["mae"].value == pytest.approx(error.abs().mean())
    assert found["bias"].value == pytest.approx(error.mean())
    assert found["r2"].value == pytest.approx(1 - (error**2).mean() / table["truth"].var(ddof=0))
    assert found["coverage"].value == 0.5
    assert all(one.low <= one.value <= one.high for one in found.values())


def test_other_programs_columns_and_separators_are_read(table, tmp_path):
    other = table.rename(columns={"truth": "y_true", "prediction": "y_pred", "patient": "subject"})
    path = written(other.drop(columns=["low", "high", "split"]), tmp_path, sep=";")
    found = kmedtl.evaluate(path, task="regression").estimates
    assert found["mae"].value == pytest.approx((table["prediction"] - table["truth"]).abs().mean())
    assert "coverage" not in found  # no intervals, nothing that they hold


def test_groups_come_from_the_table_or_a_manifest(table, tmp_path, capsys):
    pd.DataFrame({"id": table["id"], "sex": ["F", "M"] * 20}).to_csv(tmp_path / "manifest.csv", index=False)
    command = ["evaluate", str(written(table, tmp_path)), "--groups", "sex"]
    assert main([*command, "--manifest", str(tmp_path / "manifest.csv"), "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    women = table.iloc[::2]
    assert groups["sex F"]["mae"]["value"] == pytest.approx((women["prediction"] - women["truth"]).abs().mean())
    assert main(command) == 2
    assert "no column 'sex' to judge by" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        (
            lambda table: table.drop(columns="truth"),
            {},
            "expected the columns truth and prediction. Found: id, patient",
        ),
        (
            lambda table: table.assign(prediction="many"),
            {},
            "prediction: expected a number in each row. Received: 'many'",
        ),
        (lambda table: table, {"split": "val"}, "no rows of the split 'val'"),
        (lambda table: table, {"threshold": 0.3}, "--threshold: .* holds numbers"),
        (lambda table: table, {"ordered": True}, "--ordered: .* holds numbers"),
        (lambda table: table, {"task": "regresion"}, "Did you mean 'regression'?"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_line(table, tmp_path, change, settings, words):
    with pytest.raises(UserError, match=words) as error:
        kmedtl.evaluate(written(change(table), tmp_path), **{"task": "regression"} | settings)
    assert "\n" not in str(error.value)

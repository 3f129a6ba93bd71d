import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from kmedtl.cli import main
from kmedtl.tasks.classification.labelled_predictions import from_table
from kmedtl.tasks.classification.metrics import measure

NOTICE = "SYNTHETIC IMAGES: these figures say nothing about patients."
HEAVY = ("tensorflow", "keras", "sklearn", "scipy", "matplotlib")


def predictions(rows=200):
    random = np.random.default_rng(0)
    label = random.integers(0, 2, rows)
    logit = random.normal(2 * label - 1)
    table = pd.DataFrame({"id": [f"i{row}" for row in range(rows)], "patient": np.arange(rows) // 2, "label": label})
    probability = 1 / (1 + np.exp(-logit))
    return table.assign(split="test", logit=logit, probability=probability, sex=random.choice(["F", "M"], rows))


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "predictions.csv"
    predictions().to_csv(path, index=False)
    return path


def test_the_figures_are_printed_and_written(table, tmp_path, capsys):
    out = tmp_path / "judged"
    assert main(["evaluate", str(table), "--groups", "sex", "--threshold", "0.4", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    expected = measure(from_table(predictions(), "table", threshold=0.4))
    for estimate in expected.estimates.values():
        assert str(estimate) in printed
    assert "200 images of 100 patients" in printed
    assert "sex F" in printed
    written = json.loads((out / "metrics.json").read_text())
    assert written["test"]["auc"]["low"] == expected.estimates["auc"].low
    assert [group["name"] for group in written["subgroups"]] == ["F", "M"]
    assert "synthetic" not in written


def test_json_is_the_same_document_and_nan_is_null(table, capsys):
    pd.read_csv(table).query("label == 1").to_csv(table, index=False)
    assert main(["evaluate", str(table), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["test"]["auc"] == {"value": None, "low": None, "high": None, "method": "no image of class 0"}
    assert document["labels"] == "binary"


def test_a_run_folder_is_judged_at_its_own_operating_point_and_marked_as_it_is(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    table = predictions()
    pd.concat([table, table.assign(split="val", id="v" + table["id"])]).to_csv(run / "predictions.csv", index=False)
    metrics = {"synthetic": True, "notice": NOTICE, "classes": ["NORMAL", "ILL"], "operating_point": {"threshold": 0.7}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert main(["evaluate", str(run)]) == 0
    printed = capsys.readouterr().out
    (tn, fp), (fn, tp) = measure(from_table(table, "table", threshold=0.7)).confusion
    assert f"ILL found {tp}, missed {fn}; NORMAL recognised {tn}, false alarms {fp}" in printed
    assert NOTICE in printed
    assert main(["evaluate", str(run), "--threshold", "0.2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["synthetic"] is True
    assert document["test"]["confusion"]["tp"] > tp


def test_grades_and_findings_are_told_each(tmp_path, capsys):
    random = np.random.default_rng(1)
    label = random.integers(0, 3, 150)
    logits = 2 * np.eye(3)[label] + random.normal(size=(150, 3))
    table = pd.DataFrame({"label": label} | {f"logit_g{n}": logits[:, n] for n in range(3)})
    table.to_csv(tmp_path / "grades.csv", index=False)
    assert main(["evaluate", str(tmp_path / "grades.csv"), "--ordered"]) == 0
    printed = capsys.readouterr().out
    assert "Quadratic kappa" in printed
    for name in ("g0", "g1", "g2"):
        assert f"\n{name} " in printed
    assert "each image counts as a patient" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv"], "cannot be read"),
        (["--groups", "age"], "no column 'age'"),
        (["--split", "train"], "no row of the split 'train'"),
        (["--finding", "ILL"], "ILL among them"),
        (["--ordered"], "--ordered: expected several classes"),
    ],
)
def test_mistakes_are_answered_in_one_line(table, capsys, arguments, message):
    chosen = arguments if arguments[0].endswith(".csv") else [str(table), *arguments]
    assert main(["evaluate", *chosen]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_columns_of_a_manifest_are_joined_by_id(table, tmp_path, capsys):
    whole = pd.read_csv(table)
    whole.drop(columns="sex").to_csv(table, index=False)
    manifest = tmp_path / "manifest.csv"
    whole[["id", "sex", "label"]].sample(frac=1, random_state=0).to_csv(manifest, index=False, sep=";")
    assert main(["evaluate", str(table), "--manifest", str(manifest), "--groups", "sex", "--json"]) == 0
    joined = json.loads(capsys.readouterr().out)
    whole.to_csv(table, index=False)
    assert main(["evaluate", str(table), "--groups", "sex", "--json"]) == 0
    assert joined["subgroups"] == json.loads(capsys.readouterr().out)["subgroups"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("name,sex\ni1,F\n", "expected a column 'id' with the ids of the predictions. Found: name, sex"),
        ("id,sex\nx1,F\n", "has none of the predictions' ids, such as 'i0'. Received: 'x1'"),
        ("id,sex\ni1,F\ni1,M\n", "id 'i1' is in two rows"),
        (None, "cannot be read"),
    ],
)
def test_a_manifest_of_other_images_is_refused(table, tmp_path, capsys, rows, message):
    manifest = tmp_path / "manifest.csv"
    if rows:
        manifest.write_text(rows)
    assert main(["evaluate", str(table), "--manifest", str(manifest)]) == 2
    assert message in capsys.readouterr().err


def test_images_that_a_manifest_lacks_are_counted(table, tmp_path, capsys):
    (tmp_path / "manifest.csv").write_text("image,age\n" + "".join(f"i{row},{row}\n" for row in range(150)))
    arguments = ["evaluate", str(table), "--manifest", str(tmp_path / "manifest.csv"), "--groups", "age"]
    assert main(arguments) == 0
    assert "50 of 200 images are not in manifest.csv" in capsys.readouterr().out


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "expected a CSV of predictions or a run folder" in capsys.readouterr().err


@pytest.mark.slow
def test_ten_thousand_rows_take_two_seconds_and_nothing_heavy(tmp_path):
    path = tmp_path / "predictions.csv"
    predictions(10_000).to_csv(path, index=False)
    code = (
        f"import sys; from kmedtl.cli import main; main(sys.argv[1:]); sys.exit(any(m in sys.modules for m in {HEAVY}))"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "evaluate", str(path)], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    print(f"10,000 rows: {seconds:.2f} s")
    assert done.returncode == 0, done.stderr
    assert "AUC" in done.stdout
    assert seconds < 2 * 2  # twice the claim, for busy machines

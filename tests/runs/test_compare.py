import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kmedtl.cli import main
from kmedtl.config import override
from kmedtl.edge import model_info
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.errors import UserError
from kmedtl.recipe import write
from kmedtl.recipes.pneumonia import RECIPE
from kmedtl.runs.compare import compare
from kmedtl.statistics.agreement import mcnemar
from kmedtl.statistics.confidence import auc_loss
from kmedtl.tasks.classification.labelled_predictions import from_table
from kmedtl.tasks.classification.metrics import measure
from tests.models import decoder_of, info_of

NOTICE = "SYNTHETIC IMAGES: these figures say nothing about patients."


def write_run(
    folder,
    settings=(),
    training=100,
    skill=1.0,
    names="test",
    notice="",
    epochs=3,
    threshold=0.5,
    classes=("NO", "YES"),
):
    """Write what a run leaves: 80 test images of 40 patients, scored the better the more `skill`."""
    folder.mkdir(parents=True)
    recipe = override(RECIPE, settings)
    random = np.random.default_rng(len(folder.name))
    label = np.repeat(np.arange(40) % 2, 2)
    logit = skill * (2 * label - 1) + random.normal(size=80)
    test = pd.DataFrame({"id": [f"{names}-{n:02}" for n in range(80)], "patient": np.repeat(np.arange(40), 2)})
    test = test.assign(split="test", label=label, logit=logit, probability=1 / (1 + np.exp(-logit)))
    write(recipe, folder / "recipe.yaml")
    shuffled = test.sample(frac=1, random_state=3)
    pd.concat([shuffled.assign(split="val", id="v" + shuffled["id"]), shuffled]).to_csv(
        folder / "predictions.csv", index=False
    )
    figures = measure(from_table(test, "table", threshold=0.5)).to_dict()
    marking = {"synthetic": True, "notice": notice} if notice else {"synthetic": False}
    document = {**marking, "headline": "auc", "test": figures}
    model_info.attach(info_of(decoder_of("binary", classes)), folder)
    (folder / "metrics.json").write_text(json.dumps(document))
    pd.DataFrame({"split": ["train"] * training + ["test"] * 80}).to_csv(folder / "manifest.csv", index=False)
    (folder / "tracking.json").write_text(json.dumps({"seconds": 60.0 * epochs}))
    pd.DataFrame({"epoch": range(epochs + 1), "seconds": [1.5] * epochs + [0.0]}).to_csv(
        folder / "history.csv", index=False
    )
    return folder


@pytest.fixture
def runs(tmp_path):
    """Transfer and from scratch, on 100 and 300 images; how long the latter trained differs."""
    scratch = ["backbone.weights=random"]
    return [
        write_run(tmp_path / "t100", ["data.train_limit=100"], 100, 1.0),
        write_run(tmp_path / "t300", ["data.train_limit=300"], 300, 2.0),
        write_run(tmp_path / "scratch100", [*scratch, "data.train_limit=100", "stages.0.epochs=9"], 100, 0.1),
        write_run(tmp_path / "scratch300", [*scratch, "data.train_limit=300", "stages.0.epochs=20"], 300, 0.5),
    ]


def test_only_what_differs_is_a_column_and_figures_are_those_of_the_runs(runs):
    table = compare(runs).table()
    settings = list(table.columns)[1 : list(table.columns).index("training_images")]
    assert set(settings) == {"data.train_limit", "backbone.weights", "stages.0.epochs"}
    assert list(table["backbone.weights"]) == ["imagenet", "imagenet", "random", "random"]
    assert list(table["training_images"]) == [100, 300, 100, 300]
    for run, row in zip(runs, table.itertuples(), strict=True):
        figures = json.loads((run / "metrics.json").read_text())["test"]
        assert row.auc == figures["auc"]["value"]
        assert row.balanced_accuracy_high == figures["balanced_accuracy"]["high"]


def test_the_gain_is_paired_by_image_whatever_the_order_of_the_rows(runs):
    comparison = compare(runs)
    first, second = (run.test for run in comparison.runs[:2])
    arrays = first.targets[LOGITS], second.outputs[LOGITS], first.outputs[LOGITS]
    labels, ours, theirs = (array[:, 0] for array in arrays)
    expected = auc_loss(labels, ours, theirs, first.patients)
    assert comparison.gains[1] == expected
    assert comparison.gains[1].value == pytest.approx(
        comparison.runs[1].headline.value - comparison.runs[0].headline.value
    )
    assert comparison.gains[0].value == comparison.gains[0].low == comparison.gains[0].high == 0


def test_decisions_are_compared_image_by_image_at_each_runs_own_operating_point(runs, tmp_path, capsys):
    model_info.attach(info_of(decoder_of("binary", ("NO", "YES"), thresholds=(0.9,))), runs[1])
    rights = []
    for run, threshold in zip(runs[:2], (0.5, 0.9), strict=True):
        test = pd.read_csv(run / "predictions.csv").query("split == 'test'").sort_values("id")
        rights.append(((test["probability"] >= threshold) == (test["label"] == 1)).to_numpy())
    expected = mcnemar(rights[1], rights[0], test["patient"].to_numpy())
    comparison = compare(runs[:2])
    assert comparison.decisions[1] == expected
    row = comparison.table().iloc[1]
    assert (row["right_only_here"], row["right_only_in_first"]) == (expected.only_first, expected.only_second)
    assert row["decisions_p"] == expected.p_value < 1
    assert main(["compare", *map(str, runs[:2]), "--out", str(tmp_path / "out")]) == 0
    assert str(expected) in capsys.readouterr().out
    assert str(expected) in (tmp_path / "out" / "compare.html").read_text()


def test_other_test_images_are_no_pair(runs, tmp_path, capsys):
    other = write_run(tmp_path / "elsewhere", names="other")
    assert compare([runs[0], other]).gains[1] is None
    assert main(["compare", str(runs[0]), str(other), "--out", str(tmp_path / "out")]) == 0
    assert "other test images" in capsys.readouterr().out
    assert "cannot be compared as a pair" in " ".join((tmp_path / "out" / "compare.html").read_text().split())


def test_why_a_figure_is_unknown_stands_below_the_table(runs, tmp_path, capsys):
    why = "all 80 images of the test are of one class, so there is nothing to tell apart from it"
    document = json.loads((runs[1] / "metrics.json").read_text())
    document["test"]["auc"] = {"value": None, "low": None, "high": None, "method": why}
    (runs[1] / "metrics.json").write_text(json.dumps(document))
    assert main(["compare", str(runs[0]), str(runs[1]), "--out", str(tmp_path / "out")]) == 0
    assert f"  – t300, AUC: {why}" in capsys.readouterr().out.splitlines()
    assert why in (tmp_path / "out" / "compare.html").read_text()


def test_a_curve_for_each_way_and_its_points_by_number(runs):
    curves = compare(runs[::-1]).curves()
    assert {title: [run.name for run in line] for title, line in curves.items()} == {
        "backbone.weights=imagenet": ["t100", "t300"],
        "backbone.weights=random": ["scratch100", "scratch300"],
    }
    assert compare([runs[0], runs[2]]).curves() == {}


def test_epochs_tell_lines_apart_where_two_runs_have_as_many_images(tmp_path):
    runs = [
        write_run(tmp_path / f"{images}-{epochs}", [f"stages.0.epochs={epochs}", f"data.train_limit={images}"], images)
        for images in (50, 90)
        for epochs in (2, 4)
    ]
    assert set(compare(runs).curves()) == {"stages.0.epochs=2", "stages.0.epochs=4"}


def test_stages_that_train_other_blocks_are_named_by_them(tmp_path):
    features = replace(RECIPE, stages=(), schedule="logistic")
    runs = [write_run(tmp_path / "staged"), write_run(tmp_path / "features", epochs=0)]
    write(features, runs[1] / "recipe.yaml")
    (runs[1] / "history.csv").write_text("\n")
    table = compare(runs).table()
    assert list(table["stages"]) == ["head, last:2, last:3", ""]
    assert list(table["schedule"]) == ["stages", "logistic"]
    assert list(table["epochs"]) == [3, 0]
    assert list(table["seconds"]) == [180, 0]
    assert not [column for column in table if column.startswith("stages.")]


def test_folds_count_together(tmp_path):
    whole = write_run(tmp_path / "folds")
    for number, images in ((1, 90), (2, 110)):
        write_run(whole / f"fold-{number}", training=images)
    metrics = json.loads((whole / "metrics.json").read_text())
    (whole / "metrics.json").write_text(json.dumps({"headline": "auc", "pooled": metrics["test"], "folds": {}}))
    predictions = pd.read_csv(whole / "predictions.csv").query("split == 'test'").drop(columns="split")
    predictions.assign(threshold=0.5).to_csv(whole / "predictions.csv", index=False)
    comparison = compare([whole, whole / "fold-1"])
    assert [run.training_images for run in comparison.runs] == [100, 90]
    assert len(comparison.runs[0].test.ids) == 80


@pytest.mark.parametrize("several", [True, False])
def test_the_command_writes_table_page_and_plot_without_tensorflow(runs, tmp_path, several):
    chosen = [*runs[:1], write_run(tmp_path / "synthetic", notice=NOTICE), *(runs[1:] if several else [])]
    code = (
        "import sys; from kmedtl.cli import main; status = main(sys.argv[1:]); "
        "sys.exit(status or any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", *map(str, chosen), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert NOTICE in done.stdout
    table = pd.read_csv(tmp_path / "out" / "compare.csv")
    assert list(table["run"]) == [run.name for run in chosen]
    assert list(table["synthetic"]) == [run.name == "synthetic" for run in chosen]
    page = (tmp_path / "out" / "compare.html").read_text()
    assert NOTICE in page
    assert 'src="data:image/svg+xml;base64,' in page
    assert "http" not in page.replace("http-equiv", "")
    plot = "data_efficiency" if several else "auc"
    assert [path.stem for path in (tmp_path / "out" / "plots").iterdir()] == [plot]


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    with pytest.raises(UserError, match="two or more different run folders"):
        compare([runs[0], runs[0]])
    with pytest.raises(UserError, match=r"nothing.*expected a finished run folder.*recipe\.yaml is not there"):
        compare([runs[0], tmp_path / "nothing"])
    (runs[1] / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match="its files are not as a run wrote them"):
        compare(runs)


def test_runs_of_other_classes_are_not_compared(tmp_path):
    runs = [write_run(tmp_path / name, classes=("NORMAL", name)) for name in ("ILL", "PNEUMONIA")]
    with pytest.raises(
        UserError, match=r"are asked the same. Received: ILL: .* of ILL, .* and PNEUMONIA: .* of PNEUMONIA"
    ):
        compare(runs)

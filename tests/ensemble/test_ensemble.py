import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from kmedtl.cli import main
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.edge.tasks.classification.calibration import sigmoid
from kmedtl.ensemble.ensemble import ensemble
from kmedtl.errors import UserError
from kmedtl.statistics.confidence import auc_loss
from kmedtl.tasks.classification.combine import METHODS
from kmedtl.tasks.classification.examples import labelled


def arguments(runs, out, method="mean"):
    return ["ensemble", *map(str, runs), "--method", method, "--out", str(out)]


@pytest.fixture
def runs(write_run):
    return [write_run(name, seed=seed) for seed, name in enumerate("abc")]


@pytest.mark.parametrize("method", METHODS)
def test_an_ensemble_is_a_run_folder_that_evaluate_report_and_compare_take(runs, tmp_path, capsys, method):
    out = tmp_path / "together"
    assert main(arguments(runs, out, method)) == 0
    assert "Gain" in capsys.readouterr().out
    assert main(["evaluate", str(out)]) == 0
    told = json.loads((out / "metrics.json").read_text())
    assert f"{told['test']['auc']['value']:.3f}" in capsys.readouterr().out
    assert main(["report", str(out)]) == 0
    assert main(["evaluate", str(runs[0]), "--json"]) == 0


def test_compare_sets_it_beside_another(runs, tmp_path, capsys):
    for method in ("mean", "stack"):
        assert main(arguments(runs, tmp_path / method, method)) == 0
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "mean"), str(tmp_path / "stack"), "--out", str(tmp_path / "page")]) == 0
    assert "6" in capsys.readouterr().out.splitlines()[1].split()  # epochs: those of all three runs


def test_three_together_beat_each_alone_and_the_gain_is_paired(runs):
    made = ensemble(runs, "mean")
    test = made.evaluation.details.test
    for standing, member in zip(made.beside, made.members, strict=True):
        alone = labelled(member.examples("test"), member.info.decoder)
        assert list(alone.ids) == list(test.ids)
        assert standing.gain == auc_loss(test.targets[:, 0], test.scores[:, 0], alone.scores[:, 0], test.patients)
        assert standing.gain.low > 0  # by construction: the runs' errors are independent
        assert made.evaluation.estimates["auc"].value > standing.alone.value


def test_the_mean_is_of_the_same_image_whatever_the_order_of_the_rows(runs):
    made = ensemble(runs, "mean")
    tables = [pd.read_csv(run / "predictions.csv").set_index("id")["probability"] for run in runs]
    mean = sum(table[made.predictions["id"]].to_numpy() for table in tables) / 3
    assert sigmoid(made.predictions["logit"].to_numpy()) == pytest.approx(mean)


@pytest.mark.slow
def test_the_test_chooses_nothing(runs):
    before = [ensemble(runs, method) for method in METHODS]
    for run in runs:
        table = pd.read_csv(run / "predictions.csv")
        table["label"] = np.where(table["split"] == "test", 1 - table["label"], table["label"])
        table.to_csv(run / "predictions.csv", index=False)
    for old, method in zip(before, METHODS, strict=True):
        new = ensemble(runs, method)
        assert (new.weights, new.fit) == (old.weights, old.fit)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "method"), [("multi_class", "stack"), ("multi_label", "weighted")])
def test_questions_of_several_findings(write_run, tmp_path, kind, method):
    runs = [write_run(name, kind, seed=seed) for seed, name in enumerate("ab")]
    out = tmp_path / "together"
    assert main(arguments(runs, out, method)) == 0
    told = json.loads((out / "metrics.json").read_text())["ensemble"]["standings"]
    assert {one["figure"] for one in told} == {"macro_auc"}
    made = ensemble(runs, method)
    for one, standing in zip(told, made.beside, strict=True):
        whole = made.evaluation.estimates["macro_auc"].value
        assert one["gain"]["value"] == pytest.approx(whole - standing.alone.value)
        assert standing.gain.low <= standing.gain.value <= standing.gain.high
    test, decoder = made.members[0].examples("test"), made.members[0].info.decoder
    assert made.task.gain(made.members[0].question, test, [test], decoder, decoder).value == 0


@pytest.mark.slow
def test_an_ensemble_may_vote_in_another(runs, write_run, tmp_path):
    assert main(arguments(runs, tmp_path / "three")) == 0
    other = write_run("d", seed=9)
    assert main(arguments([tmp_path / "three", other], tmp_path / "four")) == 0
    assert json.loads((tmp_path / "four" / "ensemble.json").read_text())["members"] == [
        str(tmp_path / "three"),
        str(other),
    ]


@pytest.mark.slow
def test_votes_need_no_tensorflow(runs, tmp_path):
    code = (
        "import sys; from kmedtl.cli import main; status = main(sys.argv[1:]); "
        "sys.exit(status or any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    command = [sys.executable, "-c", code, *arguments(runs, tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_one_run_only_or_one_twice(runs):
    for few in (runs[:1], [runs[0], runs[0]]):
        with pytest.raises(UserError, match=r"expected two or more different run folders\. Received: .*a"):
            ensemble(few, "mean")


def test_no_run_folder(runs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: expected a finished run folder; .*recipe.yaml is not there"):
        ensemble([runs[0], tmp_path / "empty"], "mean")


def test_other_classes(runs, write_run):
    other = write_run("other", classes=("NORMAL", "TUMOUR"))
    with pytest.raises(
        UserError, match=r"expected what is asked of .*a: binary; NORMAL, ILL\. Received: binary; NORMAL, TUMOUR"
    ):
        ensemble([runs[0], other], "mean")


def test_a_patient_of_ones_training_in_the_others_test(runs, write_run):
    other = write_run("other", training="s")  # patients s0 to s49, whom all are tested on
    with pytest.raises(
        UserError, match=rf"other: was trained on 50 patients of .*first: {min(map(pseudonym, people()))}"
    ):
        ensemble([runs[0], other], "mean")


def people():
    return [f"s{n}" for n in range(50)]


def test_what_taught_an_ensembles_members_counts_for_it(runs, write_run, tmp_path):
    assert main(arguments(runs[:2], tmp_path / "two")) == 0
    manifest = pd.read_csv(runs[1] / "manifest.csv")
    pd.concat([manifest, pd.DataFrame({"patient": ["s3"], "split": ["train"]})]).to_csv(runs[1] / "manifest.csv")
    with pytest.raises(UserError, match=rf"two: was trained on 1 patients of .*first: {pseudonym('s3')}"):
        ensemble([tmp_path / "two", runs[2]], "mean")


def test_other_test_images(runs, write_run):
    other = write_run("other", images=100)
    with pytest.raises(UserError, match=r"40 are of one of them only, first: test100\. Give both one split"):
        ensemble([runs[0], other], "mean")


def test_a_run_of_folds_leaves_no_image_to_judge_by(runs, tmp_path):
    (tmp_path / "folds" / "fold-1").mkdir(parents=True)
    with pytest.raises(UserError, match="holds folds; each image trained a model of all folds but one"):
        ensemble([runs[0], tmp_path / "folds"], "mean")


def test_a_damaged_table(runs):
    table = pd.read_csv(runs[1] / "predictions.csv").drop(columns="logit")
    table.to_csv(runs[1] / "predictions.csv", index=False)
    with pytest.raises(UserError, match="b: its predictions are not as a run wrote them"):
        ensemble(runs, "mean")

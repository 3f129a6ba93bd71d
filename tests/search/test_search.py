"""Searches from the command line, on a phantom; the trials run in processes of their own."""

import json
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pandas as pd
import pytest

from kmedtl import recipe as recipes
from kmedtl.cli import main
from kmedtl.errors import UserError
from kmedtl.search.folder import choose, held
from kmedtl.search.records import Record, keep
from tests.conftest import made_for_all
from tests.search.conftest import searched

# What attention pools are whole feature maps, which do not fit into so small a cache: such trials fail.
SPACE = "search.space={stages.0.lr: log 1e-3..1e-1, head.dropout: 0..0.5, head.kind: [linear, attention_pool]}"
LITTLE = "training.cache_gigabytes=1e-4"


def command(folder, options, *more):
    return ["search", "pneumonia", *options, "--set", SPACE, "--set", LITTLE, "--out", str(folder), *more]


@pytest.fixture(scope="module")
def found(tmp_path_factory, options):
    """A finished search of the head: four trials, random, one of which fails."""

    def make(folder):
        assert main(command(folder / "found", options, "--trials", "4", "--tuner", "random")) == 0

    return made_for_all(tmp_path_factory, "searched", make) / "found"


def test_a_search_leaves_a_table_a_page_and_the_best_recipe(found):
    table = pd.read_csv(found / "search.csv")
    assert len(table) == 4
    assert set(table["status"]) >= {"completed", "failed"}
    document = json.loads((found / "search.json").read_text())
    complete = table[table["status"] == "completed"]
    assert document["best"]["figures"]["val_auc"] == complete["val_auc"].max()
    best = recipes.read(found / "best.yaml")
    assert best.stages[0].lr == document["best"]["values"]["stages.0.lr"]
    assert best.head.dropout == document["best"]["values"]["head.dropout"]
    page = (found / "search.html").read_text()
    assert "data:image/svg+xml" in page
    assert "SYNTHETIC IMAGES" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert not (found / "features").exists()


def test_the_optimism_of_the_best_score_is_stated(found):
    document = json.loads((found / "search.json").read_text())
    assert document["optimism"] == pytest.approx(document["best"]["figures"]["val_auc"] - document["expected"])
    assert document["optimism"] > -0.05
    assert document["test"]["auc"]["low"] <= document["test"]["auc"]["value"] <= document["test"]["auc"]["high"]


def test_the_recipe_as_it_stands_is_tried_first(found):
    document = json.loads((found / "search.json").read_text())["as_it_stands"]
    assert document["trial"] == "0"
    assert document["values"] == {"stages.0.lr": 1e-2, "head.dropout": 0.2, "head.kind": "linear"}


def test_a_trial_on_cached_features_is_the_head_stage_of_a_run(found):
    """Epoch for epoch: the winner's run begins as the best trial did."""
    best = json.loads((found / "search.json").read_text())["best"]
    history = pd.read_csv(found / "winner" / "history.csv")
    head = history[history["stage"] == "head"]
    assert len(head) == 3
    assert best["course"] == pytest.approx(head["val_auc"].cummax().tolist(), abs=1e-9)
    assert best["figures"]["val_loss"] == pytest.approx(head["val_loss"][head["val_auc"].idxmax()], rel=1e-4)


def test_tensorboard_gets_every_trial_that_ended_well(found):
    written = {path.parent.name for path in (found / "tensorboard").glob("*/events*")}
    table = pd.read_csv(found / "search.csv")
    assert written == set(table["trial"][table["status"] != "failed"].astype(str))


def test_no_trial_sees_a_test_image():
    from kmedtl.search.development import development

    recipe = searched("search.folds=3")
    whole, folds = development(searched()), development(recipe)
    assert set(whole.manifest.table["split"]) == {"train", "val"}
    ids = set(whole.manifest.table["id"])
    assert len(folds.divisions) == 3
    validated = [set(table.loc[table["split"] == "val", "patient"]) for table in folds.divisions]
    assert set.union(*validated) == set(whole.manifest.table["patient"])
    assert sum(map(len, validated)) == len(set.union(*validated))
    for table in folds.divisions:
        assert set(table["id"]) == ids
        assert set(table["split"]) == {"train", "val"}


def test_a_finished_search_is_not_overwritten(found, options, capsys):
    assert main(command(found, options)) == 2
    assert "the search is finished" in capsys.readouterr().err


def test_a_trial_that_fails_says_why_and_does_not_end_the_search(found):
    table = pd.read_csv(found / "search.csv")
    failed = table[table["failure"].notna()]
    assert set(failed["head.kind"]) == {"attention_pool"}
    assert failed["failure"].str.contains("more than training.cache_gigabytes=0.0001").all()
    assert table["trial"].tolist() == list(range(4))


def test_all_trials_failing_tells_the_first_error(tmp_path):
    from kmedtl.search.result import conclude

    for number, failure in enumerate(("no room", "no time")):
        record = Record(str(number), "failed", {"head.dropout": 0.1}, "tuner0", failure=failure)
        keep(record, None, tmp_path / "trials" / f"trial_{number}")
    with pytest.raises(UserError, match="all 2 trials failed, the first so: no room"):
        conclude(searched(), None, tmp_path, print)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ({}, "no search there"),
        ({"recipe.yaml": "name: a_run\nschedule: auto\n"}, "no search there"),
        ({"recipe.yaml": "name: a\nschedule: auto\n", "images.sha256": ""}, "the search began with name=a"),
    ],
)
def test_resuming_what_cannot_go_on_is_refused(before, words, options, tmp_path, capsys):
    folder = tmp_path / "search"
    folder.mkdir()
    for name, text in before.items():
        (folder / name).write_text(text)
    assert main(command(folder, options, "--resume")) == 2
    assert words in capsys.readouterr().err


def test_images_divided_otherwise_are_refused(tmp_path, options, capsys):
    """Else one machine would train on what another tests, as with DICOM files and another salt."""
    recipes.write(searched(SPACE, LITTLE), tmp_path / "recipe.yaml")
    (tmp_path / "images.sha256").write_text("of others")
    assert main(command(tmp_path, options, "--resume")) == 2
    assert "KMEDTL_SALT" in capsys.readouterr().err
    assert (tmp_path / "recipe.yaml").is_file()


def test_a_stale_lock_holds_nobody_up_and_a_held_one_is_named(tmp_path):
    folder = tmp_path / "search"
    folder.mkdir()
    (folder / "lock").touch()
    with (
        held(choose(folder, "pneumonia", resume=False), searched()),
        pytest.raises(UserError, match="another search"),
        held(folder, searched()),
    ):
        pass
    assert not (folder / "lock").exists()


def test_a_search_that_stops_says_how_to_go_on_and_leaves_nothing_useless(tmp_path):
    said = []

    def stop(folder, trials):
        with held(folder, searched(), said.append):
            for number in range(trials):
                keep(Record(str(number), "failed", {}, "tuner0"), None, folder / "trials" / f"trial_{number}")
            raise KeyboardInterrupt

    for name, trials in (("early", 0), ("late", 1)):
        with pytest.raises(KeyboardInterrupt):
            stop(tmp_path / name, trials)
    assert [path.name for path in tmp_path.iterdir()] == ["late"]
    assert len(said) == 1
    assert "--resume" in said[0]


@pytest.mark.slow
def test_a_killed_search_goes_on_after_its_last_trial(options, tmp_path):
    folder = tmp_path / "search"
    words = [sys.executable, "-m", "kmedtl", *command(folder, options, "--trials", "4", "--tuner", "random")]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list(folder.glob("trials/*/record.json"))) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.parent.name: path.read_text() for path in folder.glob("trials/*/record.json")}
    assert subprocess.run([*words, "--resume"], check=False).returncode == 0
    after = {path.parent.name: path.read_text() for path in folder.glob("trials/*/record.json")}
    assert len(after) == 4
    assert before.items() <= after.items()


@pytest.mark.slow
def test_a_process_that_dies_costs_one_trial(tmp_path):
    from kmedtl.search.development import development
    from kmedtl.search.process import TrialError, TrialProcess
    from kmedtl.search.trials import Job

    job = Job(searched("stages.0.epochs=1"), development(searched()), "head", tmp_path / "features", tmp_path / "trial")
    with TrialProcess(tmp_path / "log") as process:
        process.carry_out(job)
        (worker,) = multiprocessing.active_children()
        threading.Timer(0.5, worker.kill).start()
        with pytest.raises(TrialError, match="the process of the trial died"):
            process.carry_out(replace(job, recipe=searched("stages.0.epochs=5000")))
        assert process.carry_out(job).epochs == 1

"""`kmedtl update` from end to end: a run that knows nothing learns, and is updated twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl.cli import main
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.edge import model_info
from kmedtl.edge.adaptation.lineage import sha256
from kmedtl.ensemble.members import trained_on
from kmedtl.files.names import STATE
from kmedtl.recipe import Export
from kmedtl.runner import run

pytestmark = pytest.mark.slow

QUICK = ["stages.0.train=head", "stages.0.lr=0.05", "stages.0.epochs=8"]
PATIENTS = 30  # of either class


def films(folder, hospital, seed):
    """Write a table of gray images of which bright ones are ill; return it."""
    folder.mkdir()
    random, rows = np.random.default_rng(seed), []
    for label, base in (("healthy", 40), ("ill", 160)):
        for number in range(PATIENTS):
            name = f"{label}-{number}.png"
            Image.fromarray(random.integers(base, base + 60, (40, 40), dtype=np.uint8)).save(folder / name)
            rows.append({"path": name, "label": label, "patient": f"{hospital}-{label}-{number}"})
    table = folder / "films.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    return table


def words_of(before, source, out):
    settings = [word for setting in QUICK for word in ("--set", setting)]
    return ["update", str(before), "--data", str(source), "--out", str(out), "--quiet", *settings]


def update(before, source, out, *more):
    return main([*words_of(before, source, out), *more])


@pytest.fixture(scope="module")
def untrained(small_recipe, tmp_path_factory):
    """A run that was never trained, and asked for the class that it takes dark images for: its AUC is next to 0."""
    folder = tmp_path_factory.mktemp("updates")
    own = {"source": str(films(folder / "a", "a", 1)), "size": 32, "patient_pattern": "", "test": 0.4}
    for classes in (("healthy", "ill"), ("ill", "healthy")):
        data = replace(small_recipe.data, **own, classes=classes)
        recipe = replace(small_recipe, data=data, schedule="untrained", stages=(), export=Export(formats=()), seed=2)
        found, run_folder = run(recipe, folder / classes[1], log=lambda text: None)
        if found.evaluation.estimates["auc"].value < 0.2:
            return run_folder
    raise AssertionError("the untrained network does not tell bright images from dark ones")


@pytest.fixture(scope="module")
def second(untrained):
    """Its update by another hospital, which learned the old images anew."""
    out = untrained.parent / "second"
    assert update(untrained, films(untrained.parent / "b", "b", 2), out, "--replay", "none") == 0
    return out


def test_what_is_forgotten_by_none_and_learned_is_accepted_and_says_whence_it_came(untrained, second, capsys):
    found = json.loads((second / "metrics.json").read_text())["update"]
    assert found["accepted"]
    assert found["new"]["gain"]["value"] > 0.5
    (record,) = model_info.read(second).updated
    assert record.parent == sha256(untrained / "model.keras")
    assert (record.run, record.source, record.replay, record.replayed) == (untrained.name, "films.csv", "none", 0)
    assert record.images == (pd.read_csv(second / "manifest.csv")["split"] == "train").sum()
    assert not (second.parent / "second.rejected").exists()
    capsys.readouterr()
    assert main(["inspect", str(second)]) == 0
    assert f"accepted: from {untrained.name}" in capsys.readouterr().out
    assert "The update beside its run" in (second / "report.html").read_text()


def test_an_update_that_gains_nothing_is_rejected_and_named_so(untrained, second, capsys):
    """The second one, which teaches it, knows all already; whom the runs before it had in training stays there."""
    source, out = films(untrained.parent / "c", "c", 3), untrained.parent / "third"
    first = pd.read_csv(untrained / "manifest.csv", dtype=str)
    known = first[first["split"] == "train"].iloc[0]
    named = pd.read_csv(source)
    named.loc[0, "patient"] = known["patient"]
    named.to_csv(source, index=False)
    assert update(second, source, out, "--distill") == 3
    assert not out.exists()
    folder = out.with_name("third.rejected")
    assert f"Teacher: {second}" in (folder / "output.log").read_text()
    assert "REJECTED" in capsys.readouterr().out
    assert [one.accepted for one in model_info.read(folder).updated] == [True, False]
    table = pd.read_csv(folder / "manifest.csv", dtype=str)
    assert set(table.loc[table["patient"] == pseudonym(known["patient"]), "split"]) == {"train"}
    assert set(first.loc[first["split"] == "train", "patient"].map(pseudonym)) <= trained_on(folder)
    assert update(folder, source, out.with_name("fourth")) == 2
    assert "is an update that was rejected; update second instead" in capsys.readouterr().err
    assert main(["predict", str(folder), str(source.parent / "ill-0.png")]) == 0
    assert "A REJECTED update" in capsys.readouterr().err


def test_one_that_was_killed_goes_on_and_may_have_seen_one_class_alone(untrained, capsys):
    source, out = films(untrained.parent / "d", "d", 4), untrained.parent / "killed"
    table = pd.read_csv(source)
    table[table["label"] == "ill"].to_csv(source, index=False)
    state = out.with_name(".killed.unfinished") / STATE
    with subprocess.Popen([sys.executable, "-m", "kmedtl", *words_of(untrained, source, out)]) as process:
        while not state.exists() and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert state.exists()
    assert update(untrained, source, out, "--resume") == 0
    assert not state.parent.exists()
    assert pd.read_csv(out / "history.csv")["epoch"].max() == 8
    assert "no new image shows healthy" in capsys.readouterr().out
    found = json.loads((out / "metrics.json").read_text())["update"]
    assert (found["old"]["lent"], found["new"]["lent"]) == ([], ["healthy"])

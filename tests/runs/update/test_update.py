"""`kmedtl update` from end to end: a run that knows nothing learns, and is updated twice."""

from __future__ import annotations

import json
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
from kmedtl.recipe import Export
from kmedtl.runner import run

pytestmark = pytest.mark.slow

QUICK = ["stages.0.train=all", "stages.0.lr=0.02", "stages.0.epochs=4"]
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


def update(before, source, out, *more):
    words = [word for setting in QUICK for word in ("--set", setting)]
    return main(["update", str(before), "--data", str(source), "--out", str(out), "--quiet", *words, *more])


@pytest.fixture(scope="module")
def untrained(small_recipe, tmp_path_factory):
    """A run of whose answers the ill come last: it was never trained, and its head was turned round."""
    folder = tmp_path_factory.mktemp("updates")
    own = {"source": str(films(folder / "a", "a", 1)), "classes": (), "size": 32, "patient_pattern": "", "test": 0.4}
    recipe = replace(
        small_recipe,
        data=replace(small_recipe.data, **own),
        schedule="untrained",
        stages=(),
        export=Export(formats=()),
    )
    for seed in range(9):  # half of all heads do
        found, run_folder = run(replace(recipe, seed=seed), folder / f"run-{seed}", log=lambda text: None)
        if found.evaluation.estimates["auc"].value < 0.2:
            return run_folder
    raise AssertionError("of nine untrained networks none takes bright images for healthy ones")


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
    """The second one knows all already; what the third learns again, the runs before it had in training."""
    source, out = films(untrained.parent / "c", "c", 3), untrained.parent / "third"
    first = pd.read_csv(untrained / "manifest.csv", dtype=str)
    known = first[first["split"] == "train"].iloc[0]
    named = pd.read_csv(source)
    named.loc[0, "patient"] = known["patient"]
    named.to_csv(source, index=False)
    assert update(second, source, out) == 3
    assert not out.exists()
    folder = out.with_name("third.rejected")
    assert "REJECTED" in capsys.readouterr().out
    assert [one.accepted for one in model_info.read(folder).updated] == [True, False]
    table = pd.read_csv(folder / "manifest.csv", dtype=str)
    assert set(table.loc[table["patient"] == pseudonym(known["patient"]), "split"]) == {"train"}
    assert set(first.loc[first["split"] == "train", "patient"].map(pseudonym)) <= trained_on(folder)
    assert main(["update", str(folder), "--data", str(source), "--out", str(out)]) == 2
    assert "is an update that was rejected; update second instead" in capsys.readouterr().err
    assert main(["predict", str(folder), str(source.parent / "ill-0.png")]) == 0
    assert "A REJECTED update" in capsys.readouterr().err


def test_a_teacher_that_is_the_run_itself(untrained, second):
    source, out = films(untrained.parent / "d", "d", 4), untrained.parent / "taught"
    assert update(second, source, out, "--distill") == 3  # the run knows all, so nothing is left to gain
    log = (out.with_name("taught.rejected") / "output.log").read_text()
    assert f"Teacher: {second}" in log


def test_only_ill_people_are_judged_beside_the_runs_healthy_ones(untrained, capsys):
    source, out = films(untrained.parent / "e", "e", 5), untrained.parent / "ill"
    table = pd.read_csv(source)
    table[table["label"] == "ill"].to_csv(source, index=False)
    assert update(untrained, source, out) == 0
    assert "no new image shows healthy" in capsys.readouterr().out
    found = json.loads((out / "metrics.json").read_text())["update"]
    assert found["new"]["lent"] == ["healthy"]

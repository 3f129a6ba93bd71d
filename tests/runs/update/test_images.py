"""Whom an update learns from, and whom it is judged by: nothing trains here."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest

from kmedtl import recipe as recipes
from kmedtl.data import manifest as manifests
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.ensemble.members import trained_on
from kmedtl.errors import UserError
from kmedtl.recipe import Update
from kmedtl.runs.prepare import prepare_run
from kmedtl.runs.update.images import ids_of, split, with_images_of
from kmedtl.runs.update.plan import recipe_of_update
from kmedtl.tasks.saved_run import read_run
from tests.conftest import of_other_people


@pytest.fixture(scope="module")
def strangers(trained):
    """Films of people whom the run does not know, as a manifest."""
    return of_other_people("phantom:20", seed=8)


@pytest.fixture
def elsewhere(strangers, tmp_path):
    """The same as a table, which no longer says that they are synthetic."""
    return written(strangers, strangers.table, tmp_path / "site.csv")


def written(manifest, table, path):
    manifests.write(replace(manifest, table=table), path)
    return path


def of(run, source, **settings):
    """Return the recipe that updates a run with a source."""
    recipe = recipe_of_update(read_run(run), str(source))
    return replace(recipe, update=replace(recipe.update, **settings))


def divided(recipe):
    data = prepare_run(recipe)
    return split(recipe, data.manifest, data.table), data


def of_training(run, columns=("id", "path", "patient")):
    table = pd.read_csv(run / "manifest.csv", dtype=str, keep_default_na=False)
    return table.loc[table["split"] == "train", list(columns)]


@pytest.fixture
def second(trained, tmp_path):
    """The folder of an update that replayed nothing: the run's training images are not in it."""
    folder = began_with(trained[1], shutil.copytree(trained[1], tmp_path / "second"), "none")
    table = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    taught = table[table["split"] == "train"]
    own = of_other_people("phantom:40", seed=21).table.head(len(taught))
    for name in ("id", "path", "patient"):
        taught = taught.assign(**{name: ("" if name == "path" else "second-") + own[name].to_numpy()})
    pd.concat([table[table["split"] != "train"], taught]).to_csv(folder / "manifest.csv", index=False)
    return folder


@pytest.fixture
def third(second, tmp_path):
    """The folder of an update of that one, which replayed all that was left."""
    return began_with(second, shutil.copytree(second, tmp_path / "third"), "images")


def began_with(before, folder, replay):
    recipe = recipes.read(folder / "recipe.yaml")
    recipes.write(replace(recipe, update=Update(str(before), replay=replay)), folder / "recipe.yaml")
    return folder


def test_patients_keep_their_split_and_new_ones_come_into_each(trained, elsewhere):
    run = trained[1]
    table, data = divided(of(run, elsewhere))
    before = pd.read_csv(run / "manifest.csv").set_index("id")["split"]
    after = table.set_index("id")["split"]
    assert after[before.index].equals(before)
    fresh = table[~table["id"].isin(before.index)]
    assert set(fresh["split"]) == {"train", "val", "test"}
    assert not (table.groupby("patient")["split"].nunique() > 1).any()
    assert data.manifest.synthetic  # as the run's films are, which the table of the others no longer says
    assert set(map(pseudonym, fresh["patient"])) == set(fresh["patient"])  # a table may name people


@pytest.mark.slow
def test_nothing_of_the_runs_training_is_read_without_replay(trained, elsewhere):
    run = trained[1]
    table, _ = divided(of(run, elsewhere, replay="none"))
    assert not set(table["id"]) & ids_of(run, "train")
    assert ids_of(run, "test") <= set(table["id"])


@pytest.mark.parametrize("replay", ["images", "none"])
def test_patients_of_every_run_before_stay_in_training(trained, third, strangers, tmp_path, replay):
    """The second run forgot the first one's training images, yet nobody of them may be in a later test."""
    first = trained[1]
    assert {*map(pseudonym, of_training(first)["patient"])} <= trained_on(third)
    known = of_training(first).drop_duplicates("patient").head(6)
    table = strangers.table.copy()
    table.loc[table.index[: len(known)], "patient"] = known["patient"].to_numpy()
    source = written(strangers, table, tmp_path / "known.csv")
    parts, _ = divided(of(third, source, replay=replay))
    theirs = parts[parts["patient"].map(pseudonym).isin(known["patient"].map(pseudonym))]
    assert len(theirs) >= len(known)
    assert set(theirs["split"]) == {"train"}


@pytest.mark.slow
def test_files_of_every_run_before_are_no_new_images(trained, third, strangers, tmp_path):
    listed = of_training(trained[1], ("id", "path", "label", "patient")).head(8).assign(patient="somebody")
    listed["id"] = "again-" + listed["id"]
    ours = pd.DataFrame(
        {
            "id": strangers.table["id"],
            "path": strangers.table["path"],
            "label": [strangers.classes[label] for label in strangers.table["label"]],
            "patient": strangers.table["patient"],
        }
    )
    pd.concat([ours, listed]).to_csv(tmp_path / "mixed.csv", index=False)
    table, data = divided(of(third, tmp_path / "mixed.csv", replay="none"))
    assert not set(table["path"]) & set(listed["path"])
    assert any("has already, left out: 8" in note for note in data.manifest.notes)


@pytest.mark.slow
def test_a_picture_of_the_run_under_another_name_is_left_out(trained, strangers, tmp_path):
    """Of the test, and given to somebody who would be learned from."""
    run = trained[1]
    table = pd.read_csv(run / "manifest.csv", dtype=str)
    tested = table[table["split"] == "test"].iloc[0]
    copy = shutil.copy(tested["path"], tmp_path / "copy.png")
    rows = strangers.table.copy()
    rows.loc[rows.index[0], ["path", "id"]] = [str(copy), "copy.png"]
    parts, data = divided(of(run, written(strangers, rows, tmp_path / "copied.csv")))
    assert "copy.png" not in set(parts["id"])
    assert not data.audit.leaks


def test_new_images_may_lack_a_class(trained, strangers, tmp_path):
    rows = strangers.table[strangers.table["label"] == 1]
    parts, data = divided(of(trained[1], written(strangers, rows, tmp_path / "ill.csv")))
    assert data.manifest.classes == strangers.classes
    fresh = parts[~parts["id"].isin(ids_of(trained[1]))]
    assert set(fresh["label"]) == {1}
    assert {"train", "test"} <= set(fresh["split"])


def test_ids_that_are_taken_get_the_name_of_their_source(trained, strangers, tmp_path):
    rows = strangers.table.copy()
    taken = of_training(trained[1])["id"].iloc[0]
    rows.loc[rows.index[0], "id"] = taken
    recipe = of(trained[1], written(strangers, rows, tmp_path / "twice.csv"))
    listed = with_images_of(recipe, recipe.data, recipe.seed).table
    assert listed["id"].is_unique
    assert {taken, f"twice.csv/{taken}"} <= set(listed["id"])


@pytest.mark.parametrize("named", ["old", "new"])
def test_images_without_patients_count_each_as_one_and_it_is_said(trained, strangers, tmp_path, named):
    run = shutil.copytree(trained[1], tmp_path / "run")
    source = written(strangers, strangers.table, tmp_path / "site.csv")
    path = source if named == "old" else run / "manifest.csv"
    pd.read_csv(path, dtype=str, keep_default_na=False).assign(patient="").to_csv(path, index=False)
    recipe = of(run, source)
    found = with_images_of(recipe, replace(recipe.data, patient_pattern=""), recipe.seed)
    assert found.patients_known
    whose = "site.csv" if named == "old" else "run"
    assert any(f"The images of {whose} name no patient" in note for note in found.notes)


def test_images_that_taught_without_labels_judge_nothing(trained, strangers, tmp_path):
    """Where nobody says whom they are of, the run's list of them does."""
    run = shutil.copytree(trained[1], tmp_path / "run")
    paths = [tmp_path / f"{number}.png" for number in range(len(strangers.table))]
    for path in paths:
        path.touch()  # nothing is read yet
    rows = strangers.table.assign(path=list(map(str, paths)), patient="")
    taught = rows.iloc[::2]
    taught[["id", "path", "patient"]].to_csv(run / "unlabelled.csv", index=False)
    recipe = of(run, written(strangers, rows, tmp_path / "site.csv"))
    listed = with_images_of(recipe, replace(recipe.data, patient_pattern=""), recipe.seed).table
    splits = listed.set_index("path")["split"]
    assert set(splits[taught["path"]]) == {"train"}
    assert set(splits[rows.iloc[1::2]["path"]]) == {""}


def test_a_source_that_brings_nothing_new_is_refused(trained):
    run = trained[1]
    recipe = of(run, run / "manifest.csv")
    with pytest.raises(UserError, match="has all of its images already"):
        with_images_of(recipe, recipe.data, recipe.seed)


def test_a_run_before_that_is_gone_is_named(second, elsewhere):
    recipe = of(began_with("/nowhere/first", second, "none"), elsewhere)
    with pytest.raises(UserError, match=r"/nowhere/first: expected a run folder; its manifest\.csv cannot be read"):
        with_images_of(recipe, recipe.data, recipe.seed)

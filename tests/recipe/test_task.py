"""What is asked of an image is a setting like others: `kind` says which dataclass is meant."""

from dataclasses import replace

import pytest
import yaml

from kmedtl import config, recipe
from kmedtl.errors import UserError
from kmedtl.recipe import Classification, Head, Multi, Ordinal, Recipe, Regression, Segmentation
from kmedtl.recipes.pneumonia import RECIPE
from kmedtl.tasks import TASKS

TOLD = {
    "classification": Classification("multi_label"),
    "regression": Regression("age", "years", "huber", 0.5),
    "segmentation": Segmentation("tversky", missed=0.8, structure_weights={"nodule": 3.0}),
    "ordinal": Ordinal("expected_grade", 0.5, "2"),
    "multi": Multi({"kind": Classification(), "spot": Segmentation("dice")}, {"spot": 0.5}),
}
HEADS = dict.fromkeys(("segmentation", "multi"), Head("unet"))


def built(task):
    return config.build(Recipe, {"name": "a", "schedule": "auto", "task": task}).task


def refused(action):
    with pytest.raises(UserError) as error:
        action()
    line = str(error.value)
    assert "\n" not in line
    return line


def test_every_task_has_its_settings():
    assert set(TOLD) == {*TASKS, "multi"}
    assert {kind: settings.kind for kind, settings in TOLD.items()} == {kind: kind for kind in TOLD}


def test_a_recipe_without_a_task_is_a_classification():
    assert config.build(Recipe, {"name": "a", "schedule": "auto"}).task == Classification()
    assert built({}) == built({"labels": "auto"}) == Classification()


@pytest.mark.parametrize("task", TOLD.values(), ids=TOLD)
@pytest.mark.parametrize("defaults", [True, False])
def test_a_written_task_reads_back_equal(task, defaults, tmp_path):
    whole = replace(RECIPE, task=task, head=HEADS.get(task.kind, RECIPE.head))
    text = yaml.safe_dump(config.to_dict(whole, defaults))
    assert config.build(Recipe, yaml.safe_load(text)) == whole
    recipe.write(whole, tmp_path / "recipe.yaml", defaults)
    assert recipe.read(tmp_path / "recipe.yaml") == whole


def test_only_what_differs_is_written_for_people_to_read():
    assert "task" not in config.to_dict(RECIPE, defaults=False)
    written = config.to_dict(replace(RECIPE, task=Regression("age")), defaults=False)["task"]
    assert written == {"kind": "regression", "target": "age"}  # without its kind it would be read as another task


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"kind": "regression"}, ["task.target", "the name of a column with numbers"]),
        ({"kind": "regression", "target": ""}, ["task.target", "''"]),
        ({"kind": "regression", "target": 5}, ["task.target", "expected text", "5"]),
        ({"kind": "regression", "target": "age", "delta": 0}, ["task.delta", "above 0, at most 100", "0"]),
        ({"kind": "regression", "target": "age", "delta": float("nan")}, ["task.delta", "above 0", "nan"]),
        ({"kind": "regression", "target": "age", "loss": "hubr"}, ["task.loss", "Did you mean 'huber'?"]),
        ({"kind": "regression", "target": "age", "labels": "auto"}, ["task.labels", "no such setting"]),
        ({"kind": "regresion", "target": "age"}, ["task.kind", "'regresion'", "Did you mean 'regression'?"]),
        ({"kind": "clasification"}, ["task.kind", "Did you mean 'classification'?"]),
        ({"kind": "detection"}, ["task.kind", "'detection'"]),
        ({"kind": "segmentation"}, ["head.kind", "expected unet beside segmentation"]),
        ({"kind": "segmentation", "tolerance": 0}, ["task.tolerance", "above 0, at most 100"]),
        (
            {"kind": "segmentation", "structure_weights": {"nodule": 0}},
            ["task.structure_weights.nodule", "expected above 0, at most 1000. Received: 0"],
        ),
        *(({"kind": kind}, ["task.kind", "Known: classification, multi"]) for kind in ("", None, 5, ["x"], {})),
        ({"kind": "ordinal", "delta": -1}, ["task.delta", "0 to 100 grades", "-1"]),
        ({"kind": "ordinal", "loss": "corm"}, ["task.loss", "Did you mean 'corn'?"]),
        ({"labels": "binry"}, ["task.labels", "Did you mean 'binary'?"]),
        ({"unit": "years"}, ["task.unit", "no such setting"]),
        ("regression", ["task", "named settings", "'regression'"]),
        (None, ["task", "named settings"]),
    ],
)
def test_what_is_no_task_is_refused_with_its_key(task, words):
    line = refused(lambda: built(task))
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("assignments", "task"),
    [
        (["task={kind: regression, target: area}"], Regression("area")),
        (["task.labels=binary"], Classification("binary")),
        (["task.kind=classification"], Classification()),
    ],
)
def test_a_task_is_set_on_the_command_line(assignments, task):
    assert config.override(RECIPE, assignments).task == task


@pytest.mark.parametrize(
    ("assignments", "task"),
    [
        (["task.kind=regression", "task.target=age"], Regression("age")),
        (["task.kind=regression", "task.target=age", "task.loss=huber"], Regression("age", loss="huber")),
        (["task={kind: regression, target: age}", "task.delta=2"], Regression("age", delta=2.0)),
        (["task.kind=regression", "task.kind=classification", "task.labels=binary"], Classification("binary")),
    ],
)
def test_another_kind_has_its_own_settings(assignments, task):
    assert config.override(RECIPE, assignments).task == task


def test_a_setting_of_another_kind_says_how_to_choose_that():
    with pytest.raises(UserError, match=r"task\.unit: only task.kind=regression has it; set that before"):
        config.override(RECIPE, ["task.unit=years"])


def test_settings_of_a_task_are_set_one_by_one():
    numbers = replace(RECIPE, task=Regression("age"))
    assert config.override(numbers, ["task.unit=years", "task.loss=huber"]).task == Regression("age", "years", "huber")
    assert config.flat(numbers)["task.kind"] == "regression"


def test_a_file_with_a_wrong_task_is_named(tmp_path):
    path = tmp_path / "ages.yaml"
    path.write_text("name: ages\nschedule: auto\ntask:\n  kind: regression\n")
    line = refused(lambda: recipe.read(path))
    assert line.startswith(f"{path}: task.target: ")

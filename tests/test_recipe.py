import importlib
from pathlib import Path

import pytest

from kmedtl import config, recipe, recipes
from kmedtl.errors import UserError
from kmedtl.recipes.pneumonia import RECIPE

YAML_RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", YAML_RECIPES, ids=lambda path: path.stem)
def test_each_yaml_recipe_is_the_built_in_one(path):
    assert recipe.read(path) == recipes.find(path.stem)


def test_every_built_in_recipe_has_a_yaml_twin_that_is_generated(tmp_path):
    assert [path.stem for path in YAML_RECIPES] == sorted(recipes.describe())
    for path in YAML_RECIPES:
        recipe.write(recipes.find(path.stem), tmp_path / path.name, defaults=False)
        assert path.read_text() == (tmp_path / path.name).read_text(), "run `python recipes/generate.py`"


@pytest.mark.parametrize("name", recipes.describe())
def test_a_built_in_recipe_is_short_and_says_how_it_is_run_and_what_was_measured(name):
    module = importlib.import_module(f"kmedtl.recipes.{name}")
    assert len(Path(module.__file__).read_text().splitlines()) < 60
    assert f"python -m kmedtl.recipes.{name}" in module.__doc__
    assert "easured" in module.__doc__


def test_a_written_recipe_reads_back_equal(tmp_path):
    recipe.write(RECIPE, tmp_path / "recipe.yaml")
    assert recipe.read(tmp_path / "recipe.yaml") == RECIPE


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("data.size=16", ["data.size", "32", "16"]),
        ("data.channels=2", ["data.channels", "1 or 3"]),
        ("data.validation=0", ["data.validation", "fraction"]),
        ("data.test=0.8", ["data.validation + data.test"]),
        ("data.patient_pattern='('", ["data.patient_pattern", "regular expression"]),
        ("data.aspect=keeep", ["data.aspect", "Did you mean 'keep'?"]),
        ("data.soft_masks=no", ["data.soft_masks"]),
        ("data.missing_masks=skip", ["data.missing_masks"]),
        ("data.structures.vessel=-1", ["data.structures.vessel", "a pixel's value", "-1"]),
        ("data.structures.vessel='255'", ["data.structures.vessel", "'255'"]),
        ("data.structures.vessel=255.0", ["data.structures.vessel", "a whole number", "a colour", "pattern", "255.0"]),
        ("data.structures.vessel=true", ["data.structures.vessel", "a whole number", "True"]),
        ("data.structures.vessel=null", ["data.structures.vessel", "a whole number", "None"]),
        ("data.structures.vessel=[1, 2]", ["data.structures.vessel", "a whole number", "[1, 2]"]),
        ("data.structures.vessel='#ff00'", ["data.structures.vessel", "#ff0000", "'#ff00'"]),
        ("data.structures.vessel=", ["data.structures.vessel", "a pattern of names"]),
        ("data.structures={a b: 1}", ["data.structures.a b", "letters, digits"]),
        ("data.augment=xry", ["data.augment", "Did you mean 'xray'?"]),
        ("stages=[]", ["stages", "at least one"]),
        ("stages.0.lr=0", ["stage head: lr", "above 0"]),
        ("stages.0.epochs=0", ["stage head: epochs", "at least 1"]),
        ("name=a/b", ["name", "letters"]),
        ("seed=-1", ["seed"]),
    ],
)
def test_values_out_of_range_are_refused(assignment, words):
    with pytest.raises(UserError) as error:
        config.override(RECIPE, [assignment])
    for word in words:
        assert word in str(error.value)


def test_structures_are_written_and_read_again(tmp_path):
    marks = ["data.structures.vessel=255", "data.structures.disc='#00ff00'", "data.structures.lung='*_lung*'"]
    changed = config.override(RECIPE, [*marks, "data.aspect=keep", "data.soft_masks=threshold"])
    assert changed.data.structures == {"vessel": 255, "disc": "#00ff00", "lung": "*_lung*"}
    assert changed.data.reading.aspect == "keep"
    recipe.write(changed, tmp_path / "recipe.yaml")
    again = recipe.read(tmp_path / "recipe.yaml")
    assert again == changed
    assert list(again.data.structures) == ["vessel", "disc", "lung"]


@pytest.mark.parametrize(
    ("text", "word"),
    [("name: [", "not valid YAML"), ("- a", "named settings"), ("name: a\nstages: []\nsed: 1", "Did you mean 'seed'?")],
)
def test_a_broken_recipe_file_is_named(tmp_path, text, word):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"broken\.yaml") as error:
        recipe.read(path)
    assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stages": []}, "at least one, or a schedule"),
        ({"schedule": "auto"}, "none beside schedule=auto"),
        ({"schedule": "atuo"}, "Did you mean 'auto'"),
    ],
)
def test_stages_and_schedule_exclude_each_other(settings, words):
    with pytest.raises(UserError, match=words):
        config.build(recipe.Recipe, config.to_dict(RECIPE) | settings)
    made = config.build(recipe.Recipe, config.to_dict(RECIPE) | {"stages": [], "schedule": "auto"})
    assert made.stages == ()

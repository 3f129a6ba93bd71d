"""`kmedtl show`: every setting with its value, origin and meaning."""

from __future__ import annotations

import re

from kmedtl import config
from kmedtl.cli import main
from kmedtl.recipe import Data, Recipe, Stage
from kmedtl.recipe.settings import settings_of
from kmedtl.recipes.pneumonia import RECIPE


def shown(capsys, *arguments):
    assert main(["show", "pneumonia", *arguments]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["SETTING", "VALUE", "FROM", "MEANING"]
    rows = [re.split(r" {2,}", line, maxsplit=3) for line in lines]
    return {path: (value, origin, meaning) for path, value, origin, meaning in rows}


def test_every_setting_is_shown_with_its_origin_and_meaning(capsys):
    rows = shown(
        capsys, "--size", "64", "--backbone", "resnet50", "--set", "stages.0.epochs=9", "--set", "head.hidden=7"
    )
    assert set(config.flat(RECIPE)) <= {*rows, "data.classes.0", "data.classes.1", *nested(rows)}
    assert rows["data.size"] == ("64", "option", "side of the square that the model sees, in pixels")
    assert rows["backbone.name"][:2] == ("ResNet50", "option")
    assert rows["stages.0.epochs"] == ("9", "--set", "passes over the training images")
    assert rows["head.hidden"][:2] == ("7", "--set")
    assert rows["stages.1.epochs"][:2] == ("3", "recipe")
    assert rows["data.batch_size"] == ("32", "default", "images a training step")
    assert rows["data.labels"][0] == '""'


def nested(rows):
    """Return the paths that `flat` has of lists, which are one setting here."""
    return {path for path in config.flat(RECIPE) if path.rpartition(".")[0] in rows}


def test_no_setting_is_without_a_meaning_and_each_is_one_sentence():
    whole = Recipe("whole", (Stage("one", "all", 1, 1e-3),), data=Data(columns={"path": "file"}))
    for setting in settings_of(whole):
        assert setting.meaning, setting.path
        assert not re.search(r"[a-z)]\. [A-Z]", setting.meaning), setting

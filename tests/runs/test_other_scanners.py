"""Settings of a stage against other scanners, from images to files: nothing of them is left in the model."""

from dataclasses import replace

import keras
import pytest

from kmedtl.runner import run

SETTINGS = {"style": "mixstyle", "batch_norm": "adapt_early", "domains": "adversarial"}


@pytest.mark.slow
def test_a_run_leaves_a_model_like_any_other(small_recipe, trained, tmp_path):
    _, plain = trained
    stage = replace(small_recipe.stages[1], views=0, **SETTINGS)
    evaluation = replace(small_recipe.evaluation, resamples=100)
    export = replace(small_recipe.export, formats=("float32",))
    recipe = replace(small_recipe, stages=(stage,), evaluation=evaluation, export=export)
    result, folder = run(recipe, tmp_path / "run", log=lambda text: None)
    held = [
        [(layer.name, type(layer).__name__) for layer in keras.models.load_model(path / "model.keras").layers]
        for path in (plain, folder)
    ]
    assert held[0] == held[1]
    assert 0 <= result.evaluation.estimates["auc"].value <= 1
    assert (folder / "model_float32.tflite").is_file()
    written = (folder / "recipe.yaml").read_text(encoding="utf-8")
    assert all(f"{name}: {value}" in written for name, value in SETTINGS.items())

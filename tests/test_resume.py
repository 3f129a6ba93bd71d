"""kill -9 anywhere, then the same command with --resume: the predictions of a run that nobody disturbed."""

import os
import pty
import random
import signal
import subprocess
import sys
import termios
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmedtl import recipe as recipes
from kmedtl.errors import UserError
from kmedtl.files.names import STATE
from kmedtl.recipe import Backbone, Data, Evaluation, Export, Head, Recipe, Segmentation, Stage
from kmedtl.runner import run

KILLED_AT = ("frozen part", "head 2/2", "Exporting")
MOMENTS = random.Random(5)
QUICK = {"evaluation": Evaluation(cases=0, resamples=100), "export": Export(formats=())}


def command(recipe, out, *arguments):
    return [sys.executable, "-m", "kmedtl", "run", str(recipe), "--out", str(out), *arguments]


def start(recipe, out, *arguments):
    words = command(recipe, out, *arguments)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def light_recipe(small_recipe, tmp_path):
    stages = (replace(small_recipe.stages[0], ema=0.9), *small_recipe.stages[1:])
    data = replace(small_recipe.data, size=32)
    recipe = replace(small_recipe, data=data, stages=stages, **QUICK)
    recipes.write(recipe, tmp_path / "recipe.yaml")
    return recipe


def killed_at(words, *said):
    """Kill a run a random moment after it said one thing after the other; nothing of it can tidy up.

    It has a terminal, where bars say what begins.
    """
    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 120))
    process = subprocess.Popen(words, stdout=terminal, stderr=terminal)
    os.close(terminal)
    for text in said:
        heard = ""
        while text not in heard:
            heard += _read(ours, text, heard)
    time.sleep(MOMENTS.uniform(0, 0.4))
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.close(ours)
    assert process.returncode == -signal.SIGKILL


def _read(terminal, awaited, heard):
    try:
        return os.read(terminal, 1).decode(errors="replace")
    except OSError:  # how a terminal says that nobody writes to it any more
        raise AssertionError(f"it ended without {awaited!r}: {heard[-2000:]}") from None


def resumed_predicts_as_undisturbed(folder):
    """Let the killed run go on, and run another from the beginning: both end with the same predictions."""
    for name, arguments in (("killed", ["--resume"]), ("undisturbed", [])):
        process = start(folder / "recipe.yaml", folder / name, *arguments)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    predictions = [pd.read_csv(folder / name / "predictions.csv") for name in ("undisturbed", "killed")]
    pd.testing.assert_frame_equal(*predictions, check_exact=True)
    assert not list((folder / "killed").rglob(STATE))


@pytest.mark.slow
def test_a_run_killed_again_and_again_predicts_as_an_undisturbed_one(light_recipe, tmp_path):
    for number, said in enumerate(KILLED_AT):
        killed_at(command(tmp_path / "recipe.yaml", tmp_path / "killed", *["--resume"][: number > 0]), said)
    resumed_predicts_as_undisturbed(tmp_path)


@pytest.mark.slow
def test_folds_go_on_in_the_fold_that_was_killed(light_recipe, tmp_path):
    light = replace(light_recipe, stages=light_recipe.stages[:1], data=replace(light_recipe.data, folds=2))
    recipes.write(light, tmp_path / "recipe.yaml")
    killed_at(command(tmp_path / "recipe.yaml", tmp_path / "killed"), "fold-2", "head 2/2")
    resumed_predicts_as_undisturbed(tmp_path)


@pytest.mark.slow
def test_a_run_notices_that_a_mask_has_changed(tmp_path):
    random = np.random.default_rng(0)
    for number in range(24):
        pixels = random.integers(0, 256, (32, 32)).astype(np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        mask[4:20, 4 + number % 8 : 20] = 255
        for end, array in (("", pixels), ("_mask", mask)):
            Image.fromarray(array).save(tmp_path / f"{number}{end}.png")
    data = Data(source=str(tmp_path), size=32, channels=1, batch_size=8, augment="none", test=0.25, validation=0.25)
    recipe = Recipe(
        "masks",
        (Stage("head", "head", 3, 1e-3),),
        task=Segmentation(),
        data=data,
        backbone=Backbone("Tiny", "random"),
        head=Head("unet", hidden=16),
        **QUICK,
    )
    recipes.write(recipe, tmp_path / "recipe.yaml")
    killed_at(command(tmp_path / "recipe.yaml", tmp_path / "run"), "head 3/3")
    for number in range(24):  # whichever trained
        mask = np.asarray(Image.open(tmp_path / f"{number}_mask.png")).copy()
        mask[25, 25] = 255
        Image.fromarray(mask).save(tmp_path / f"{number}_mask.png")
    output, _ = start(tmp_path / "recipe.yaml", tmp_path / "run", "--resume").communicate(timeout=300)
    assert "error: --resume: expected the labels or masks of training and validation that" in output
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_only_with_the_settings_it_began_with(light_recipe, tmp_path):
    unfinished = tmp_path / ".run.unfinished"
    unfinished.mkdir()
    recipes.write(light_recipe, unfinished / "recipe.yaml")
    other = replace(light_recipe, seed=8)
    with pytest.raises(UserError, match=r"--resume: the run began with seed=7. Received: 8;"):
        run(other, tmp_path / "run", resume=True, log=lambda text: None)
    assert not (tmp_path / "run").exists()

"""A segmentation that is trained on patches, and answers on whole images."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kmedtl import config
from kmedtl.errors import UserError
from kmedtl.export.runtimes import load_keras
from kmedtl.files.names import MODEL
from kmedtl.finetune.checkpoint import Checkpoint
from kmedtl.recipe import Backbone, Data, Evaluation, Export, Head, Recipe, Segmentation, Stage
from kmedtl.recipes.pneumonia import RECIPE as OF_VECTORS
from kmedtl.runner import run
from kmedtl.runs import train as training
from kmedtl.runs.rate import find_rate
from kmedtl.runs.train import check_network
from kmedtl.search.space import check

SIZE, PATCH = 64, 32
RECIPE = Recipe(
    "patches",
    (Stage("decoder", "head", 1, 1e-2), Stage("all", "all", 1, 1e-3, views=0, batch_norm="train")),
    task=Segmentation(),
    data=Data(
        source="phantom:24",
        size=SIZE,
        channels=1,
        batch_size=16,
        augment="none",
        structures={"lung": "*_lung*"},
        patch=PATCH,
        patches=2,
    ),
    backbone=Backbone("Tiny", "random"),
    head=Head("unet", hidden=16),
    evaluation=Evaluation(cases=0, resamples=100),
    export=Export(()),
)


@pytest.fixture
def jobs(monkeypatch):
    """What was trained: the job and the state at its end, of each training."""
    found, fine_tune = [], training.stages.fine_tune

    def watched(job, stages) -> Checkpoint:
        state = fine_tune(job, stages)
        found.append((job, state))
        return state

    monkeypatch.setattr(training.stages, "fine_tune", watched)
    return found


@pytest.mark.slow
def test_a_run_trains_on_patches_and_answers_on_whole_images(jobs, tmp_path):
    told = []
    result, folder = run(RECIPE, tmp_path / "run", log=told.append)
    ((job, state),) = jobs
    assert job.model.input_shape[1:] == (PATCH, PATCH, 1)
    assert len(job.data["train"].table) == 2 * (result.manifest.table["split"] == "train").sum()
    assert len(job.data["val"].table) == 4 * (result.predictions["split"] == "val").sum()
    assert any(f"{len(job.data['train'].table)} of" in text and "tiles" in text for text in told)
    whole = load_keras(folder / MODEL)
    assert whole.input_shape[1:] == (SIZE, SIZE, 1)
    for trained, kept in zip(state.best, whole.get_weights(), strict=True):
        assert np.array_equal(trained, kept)
    assert result.arrays["levels"].shape[1:] == (SIZE, SIZE, 1)
    assert result.recipe == replace(RECIPE, stages=result.recipe.stages)


@pytest.mark.slow
def test_a_run_that_stopped_goes_on_with_the_same_patches(jobs, monkeypatch, tmp_path):
    undisturbed, _ = run(RECIPE, tmp_path / "undisturbed", log=lambda text: None)

    with monkeypatch.context() as patched:
        patched.setattr(training.stages, "fine_tune", _stopped_after_an_epoch(training.stages.fine_tune))
        with pytest.raises(KeyboardInterrupt):
            run(RECIPE, tmp_path / "stopped", log=lambda text: None)
    resumed, _ = run(RECIPE, tmp_path / "stopped", log=lambda text: None, resume=True)
    assert np.array_equal(*(job.data["train"].pixels() for job, _ in (jobs[0], jobs[-1])))
    pd.testing.assert_frame_equal(undisturbed.predictions, resumed.predictions, check_exact=True)


def _stopped_after_an_epoch(fine_tune):
    def stopped(job, stages):
        def after_epoch(epoch, number):
            raise KeyboardInterrupt

        return fine_tune(replace(job, after_epoch=after_epoch), stages)

    return stopped


@pytest.mark.slow
def test_a_range_test_sees_patches():
    told = []
    assert find_rate(RECIPE, 0, log=told.append).lr > 0
    assert any(text.startswith(f"Patches of {PATCH}×{PATCH} pixels") for text in told)


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["data.patch=16"], "data.patch: expected 32 to data.size=64 pixels, or 0"),
        (["data.patch=65"], "data.patch: expected 32 to data.size=64 pixels, or 0"),
        (["data.patches=0"], "data.patches: expected at least 1"),
        (["distill=RUN"], "distill: expected nothing beside data.patch"),
    ],
)
def test_settings_that_cannot_be_are_refused(assignments, words):
    with pytest.raises(UserError, match=words) as refused:
        config.override(RECIPE, assignments)
    assert "\n" not in str(refused.value)


def test_patches_are_of_tasks_that_answer_with_a_map():
    with pytest.raises(UserError, match=r"data\.patch: expected 0, whole images, beside classification\. Received: 64"):
        config.override(OF_VECTORS, ["data.patch=64"])


def test_a_backbone_that_needs_larger_patches_is_refused():
    large = config.override(RECIPE, ["data.size=160", "backbone.name=InceptionV3"])
    with pytest.raises(UserError, match=r"at least 75×75 pixels\. Received: 32×32"):
        check_network(large)


def test_a_search_refuses_patches():
    with pytest.raises(UserError, match=r"search: data\.patch: expected 0") as refused:
        check(RECIPE)
    assert "\n" not in str(refused.value)

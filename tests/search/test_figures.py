import numpy as np
import pandas as pd
import pytest

from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.recipe.search import Span
from kmedtl.search.figures import parallel_coordinates
from kmedtl.search.optimism import score_after_choice
from kmedtl.search.setting_importance import importance
from kmedtl.tasks.classification.score import score
from tests.models import question_of

PATIENTS = [np.repeat(np.arange(60), 2).astype(str)]
TARGETS = [{LOGITS: (np.arange(120) // 2 % 2)[:, None].astype(np.float32)}]


def test_the_best_of_many_that_know_nothing_is_expected_to_know_nothing():
    random = np.random.default_rng(0)
    outputs = [[{LOGITS: random.normal(size=(120, 1))}] for _ in range(30)]
    assert max(auc(trial[0], TARGETS[0]) for trial in outputs) > 0.6
    assert score_after_choice(auc, outputs, TARGETS, PATIENTS, seed=1) == pytest.approx(0.5, abs=0.05)


def auc(outputs, targets):
    return score(question_of(), outputs, targets)["auc"]


def test_one_trial_that_stands_out_is_hardly_flattered():
    random = np.random.default_rng(0)
    noise = [[{LOGITS: random.normal(size=(120, 1))}] for _ in range(9)]
    good = [{LOGITS: 3 * TARGETS[0][LOGITS] + random.normal(size=(120, 1))}]
    expected = score_after_choice(auc, [*noise, good], TARGETS, PATIENTS, seed=1)
    assert expected == pytest.approx(auc(good[0], TARGETS[0]), abs=0.01)


def test_importance_finds_the_setting_that_matters():
    random = np.random.default_rng(0)
    settings = pd.DataFrame({"lr": random.random(60), "kind": random.choice(["a", "b"], 60), "idle": random.random(60)})
    found = importance(settings, settings["lr"] + 0.2 * (settings["kind"] == "b"), seed=0)
    assert list(found.shares)[:2] == ["lr", "kind"]
    assert found.shares["lr"] > 0.6
    assert found.shares["idle"] < 0.05
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.explained > 0.8


def test_importance_says_nothing_of_noise_it_cannot_explain():
    random = np.random.default_rng(0)
    settings = pd.DataFrame({"lr": random.random(60)})
    assert importance(settings, random.random(60), seed=0).explained < 0.2
    assert importance(settings[:7], random.random(7), seed=0) is None
    assert importance(settings, np.ones(60), seed=0) is None


def test_the_best_trial_is_drawn_thick_and_in_its_place():
    trials = pd.DataFrame({"trial": ["0", "1"], "lr": [1e-3, 1e-1], "kind": ["b", "a"], "val_auc": [0.9, 0.6]})
    space = {"lr": Span(1e-3, 1e-1, "log"), "kind": ("a", "b")}
    axes = parallel_coordinates(trials, space, "val_auc", "0").axes[0]
    best = max(axes.lines, key=lambda line: line.get_linewidth())
    assert list(best.get_ydata()) == [0, 1, 1]

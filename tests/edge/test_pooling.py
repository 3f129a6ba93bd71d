"""Outputs of slices to outputs of volumes, and which slices have a say."""

import numpy as np
import pytest

from kmedtl.edge.pooling import ATTENTION, KNOTS, along, knots, pooled, shares
from kmedtl.images.background import is_background, without_say

VOLUMES = np.array([1, 0, 1, 1, 2])
LOGITS = np.array([[1, -1], [2, 5], [3, -3], [8, 1], [0.5, 0.25]], np.float32)


@pytest.mark.parametrize(
    ("rule", "expected"), [("mean", [[2, 5], [4, -1], [0.5, 0.25]]), ("max", [[2, 5], [8, 1], [0.5, 0.25]])]
)
def test_outputs_are_pooled_by_volume_whatever_the_order_of_slices(rule, expected):
    for order in (np.arange(5), np.array([4, 2, 0, 3, 1])):
        found = pooled({"logits": LOGITS[order], "map": LOGITS[order][:, None]}, VOLUMES[order], rule, np.zeros(5))
        assert found["logits"].dtype == np.float32
        assert found["logits"].tolist() == expected
        assert found["map"][:, 0].tolist() == expected


def test_the_mean_of_logits_is_the_logit_of_the_mean_of_features():
    random = np.random.default_rng(0)
    features, kernel = random.normal(size=(40, 7)).astype(np.float32), random.normal(size=(7, 2)).astype(np.float32)
    volumes = random.permutation(np.repeat(np.arange(8), 5))
    of_features = pooled({"f": features}, volumes, "mean", np.zeros(40))["f"] @ kernel
    assert pooled({"f": features @ kernel}, volumes, "mean", np.zeros(40))["f"] == pytest.approx(of_features, abs=1e-5)


def test_attention_sums_slices_by_the_softmax_of_their_scores_where_they_lie():
    frames = np.array([7, 3, 5, 6, 2])
    places = along(frames, VOLUMES)
    assert places.tolist() == [1, 0.5, 0, 0.5, 0.5]  # 3 and 2 are alone
    scores = np.zeros((5, KNOTS), np.float32)
    scores[0, -1], scores[2, 0], scores[3, 2] = 1, 2, 3  # each at its own place; elsewhere they would count nothing
    found = pooled({"logits": LOGITS, ATTENTION: scores}, VOLUMES, "attention", places)
    assert found.keys() == {"logits"}
    weights = np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum()
    assert found["logits"] == pytest.approx(np.stack([LOGITS[1], weights @ LOGITS[[0, 2, 3]], LOGITS[4]]), abs=1e-6)
    assert shares({ATTENTION: scores}, VOLUMES, "attention", places)[[0, 2, 3]] == pytest.approx(weights)


def test_places_between_knots_are_interpolated():
    assert knots(np.array([0, 0.125, 1])).tolist() == [[1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [0, 0, 0, 0, 1]]


def test_equal_scores_are_the_mean():
    scores, places = np.full((5, KNOTS), 40, np.float32), np.linspace(0, 1, 5)
    mean, attended = (
        pooled({"logits": LOGITS, ATTENTION: scores}, VOLUMES, rule, places)["logits"] for rule in ("mean", "attention")
    )
    assert attended == pytest.approx(mean, abs=1e-6)


def test_slices_of_background_have_no_say_unless_a_volume_has_no_others():
    pixels = np.zeros((4, 20, 20, 3), np.uint8)
    pixels[..., 0] = pixels[..., 2] = 200  # the neighbours
    pixels[0, :2, :2, 1], pixels[1, :1, :3, 1], pixels[2, ..., 1] = 13, 255, 12
    dark = is_background(pixels)
    assert dark.tolist() == [False, True, True, True]
    assert without_say(dark, np.array([0, 0, 1, 1])).tolist() == [False, True, False, False]

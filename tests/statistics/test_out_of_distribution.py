import json
from dataclasses import asdict

import numpy as np
import pytest

from kmedtl.config import build
from kmedtl.edge.out_of_distribution import OutOfDistribution
from kmedtl.errors import UserError
from kmedtl.statistics.out_of_distribution import fit, fit_layout

WIDTH = 64


def kind(count, seed, turned=False):
    """Features that vary along four directions around a mean; `turned`: along others."""
    random = np.random.default_rng(seed)
    along = np.random.default_rng(100 + turned).normal(0, 1, (4, WIDTH))
    return 10 + random.normal(0, 1, (count, 4)) @ along + random.normal(0, 0.3, (count, WIDTH))


def called(known, features):
    return known.unlike(features, np.zeros((len(features), 16, 16, 1), np.uint8))


@pytest.fixture(scope="module")
def known():
    return fit(kind(600, 0), kind(300, 1), components=8)


def test_one_in_a_hundred_of_its_own_kind_is_called_another(known):
    assert called(known, kind(300, 1)).mean() == pytest.approx(0.01, abs=0.004)
    assert called(known, kind(2000, 2)).mean() == pytest.approx(0.01, abs=0.015)
    assert known.score(kind(600, 0)).mean() == pytest.approx(1, abs=0.1)


def test_another_kind_is_told_by_where_it_lies_and_by_how_it_varies(known):
    assert called(known, kind(200, 3, turned=True)).mean() > 0.95
    assert called(known, kind(200, 3) + 20 * np.eye(WIDTH)[0]).all()
    assert called(known, np.zeros((1, WIDTH))).all()


def test_its_document_is_small_and_says_the_same(known):
    wide = fit(np.random.default_rng(0).normal(1, 1, (80, 1280)), np.random.default_rng(1).normal(1, 1, (20, 1280)))
    assert len(json.dumps(asdict(wide))) < 300_000
    read = build(OutOfDistribution, json.loads(json.dumps(asdict(known))))
    features = kind(50, 4)
    assert (read.score(features) == known.score(features)).all()


def test_few_training_images_leave_as_many_directions_as_they_span():
    few = fit(kind(5, 0), kind(50, 1))
    assert 1 <= len(few.variances) < 5
    assert few.residual > 0


@pytest.mark.parametrize(
    ("training", "validation", "word"),
    [
        (kind(2, 0), kind(5, 1), "3 images"),
        (kind(5, 0), kind(0, 1), "1 image"),
        (np.ones((5, 4)), np.ones((2, 4)), "differ"),
        (np.full((5, 4), np.nan), np.ones((2, 4)), "finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(training, validation, word):
    with pytest.raises(UserError, match=word):
        fit(training, validation)


def test_an_inverted_image_has_another_layout():
    random = np.random.default_rng(0)
    bright = np.hypot(*np.mgrid[-1:1:32j, -1:1:32j])[None, :, :, None]
    images = np.clip(200 - 120 * bright + random.normal(0, 30, (400, 32, 32, 1)), 0, 255).astype(np.uint8)
    layout = fit_layout(images[:200], images[200:])
    assert (layout.likeness(images[200:]) < layout.least).sum() <= 1
    assert (layout.likeness(255 - images) < layout.least).all()

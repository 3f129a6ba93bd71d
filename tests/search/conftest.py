"""A recipe that is searched in seconds: small images, a small backbone without pretrained weights."""

from __future__ import annotations

import pytest

from kmedtl import config
from kmedtl.recipes.pneumonia import RECIPE

SMALL = [
    "data.source=phantom:60",
    "data.size=32",
    "data.batch_size=16",
    "data.validation=0.3",
    "backbone={name: MobileNet, weights: random, truncate_at: block3}",
    "stages=[{name: head, train: head, epochs: 3, lr: 1e-2, views: 1}, {name: b, train: 'last:1', epochs: 1, lr: .1}]",
    "export.formats=[]",
    "evaluation={cases: 0, resamples: 100}",
]


def searched(*assignments):
    """Return the small recipe with these settings."""
    return config.override(RECIPE, [*SMALL, *assignments])


@pytest.fixture(scope="session")
def options():
    """The small recipe as options of the command line."""
    return [word for setting in SMALL for word in ("--set", setting)]

"""A network and images small enough to fine-tune in seconds."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest

from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.recipe import Backbone, Head
from tests.models import build_classifier

BACKBONE = Backbone("MobileNet", "random", truncate_at="block5")  # seven blocks with the head


def tiny_model(findings: int = 1) -> keras.Model:
    """Return a new classifier of 32-pixel images, the same each time."""
    keras.utils.set_random_seed(3)
    return build_classifier(BACKBONE, Head(), 32, 1, findings)


@pytest.fixture
def model() -> keras.Model:
    return tiny_model()


@pytest.fixture(scope="session")
def data() -> dict[str, Pipeline]:
    """44 training and 20 validation images in batches of 16; a patch of label 1 is brighter, as a rule."""
    return {name: _images(name, count, seed) for seed, (name, count) in enumerate({"train": 44, "val": 20}.items())}


def _images(name: str, count: int, seed: int) -> Pipeline:
    random = np.random.default_rng(seed)
    targets = (np.arange(count) % 3 == 0).astype(np.float32)[:, None]
    pixels = random.integers(0, 150, (count, 32, 32, 1))
    pixels[:, 8:16, 8:16] += (random.integers(0, 60, count) + 30 * targets[:, 0].astype(int))[:, None, None, None]
    ids = [f"{name}-{number}" for number in range(count)]
    table = pd.DataFrame({"id": ids, "patient": ids, "record": range(count), "stratum": targets[:, 0]})
    return Pipeline(ImagesInMemory(pixels.astype(np.uint8)), table, {LOGITS: targets}, batch_size=16)

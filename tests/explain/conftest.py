"""A network that learned in seconds to find a bright patch, and images in which the patch's place is known."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kmedtl.backbones.blocks import Block
from kmedtl.backbones.spec import FEATURES
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.heads.pooling import POOLING

SIZE, SIDE = 48, 12
BLOCKS = (
    Block("first", ("conv_1",), ("conv_1",)),
    Block("last", ("conv_2",), ("features",)),
    Block("head", (LOGITS,), (LOGITS,)),
)


def planted(count, seed):
    """Return images, targets and masks: every second image has a bright patch, and all have a chequered one."""
    random = np.random.default_rng(seed)
    images = random.integers(80, 120, (count, SIZE, SIZE, 1), dtype=np.uint8)
    masks = np.zeros((count, SIZE, SIZE), bool)
    chequers = 255 * (np.indices((SIDE, SIDE)).sum(axis=0) % 2).astype(np.uint8)[..., None]
    for number in range(count):
        top, other = random.permutation(4)[:2] * SIDE  # in rows of their own, so that neither covers the other
        left, beside = random.integers(0, SIZE - SIDE, 2)
        images[number, other : other + SIDE, beside : beside + SIDE] = chequers
        if number % 2:
            masks[number, top : top + SIDE, left : left + SIDE] = True
            images[number, masks[number]] = 200
    return images, (np.arange(count) % 2).astype(np.float32), masks


@pytest.fixture(scope="session")
def finder():
    """The network, trained: its blocks are `BLOCKS`."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = keras.layers.Rescaling(1 / 64, -100 / 64)(image)
    x = keras.layers.Conv2D(12, 5, 2, "same", activation="relu", name="conv_1")(x)
    x = keras.layers.Conv2D(24, 3, 2, "same", activation="relu", name="conv_2")(x)
    x = keras.layers.Activation("linear", name=FEATURES)(x)
    x = keras.layers.GlobalAveragePooling2D(name=POOLING)(x)
    x = keras.layers.Dropout(0.2, name="head_dropout")(x)
    model = keras.Model(image, {LOGITS: keras.layers.Dense(1, name=LOGITS)(x)})
    model.compile(keras.optimizers.Adam(1e-2), {LOGITS: keras.losses.BinaryCrossentropy(from_logits=True)})
    images, targets, _ = planted(128, seed=0)
    model.fit(images.astype(np.float32), {LOGITS: targets[:, None]}, batch_size=32, epochs=25, verbose=0)
    return model

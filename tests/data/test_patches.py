"""Patches: images whose pixels say where they lie, so that each patch tells what was cut."""

import numpy as np
import pandas as pd
import pytest

from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.patches import random_patches, tiles
from kmedtl.data.pipeline import Pipeline, Variation

SIZE, SIDE, IMAGES, EMPTY = 150, 64, 4, 3
BLOB, DOT = slice(20, 50), (140, 5)  # a structure of 900 pixels, and one of a pixel near the border


def marked(row, column, number):
    """Return the masks of pixels, bool (…, 2); the last image shows nothing, and the first no second structure."""
    blob = (row >= BLOB.start) & (row < BLOB.stop) & (column >= BLOB.start) & (column < BLOB.stop)
    dot = (row == DOT[0]) & (column == DOT[1]) & (number > 0)
    return np.stack([blob, dot], axis=-1) & (number != EMPTY)[..., None]


@pytest.fixture
def images():
    row, column = np.mgrid[:SIZE, :SIZE]
    pixels = np.stack([np.stack([row, column, np.full_like(row, n)], axis=-1) for n in range(IMAGES)]).astype(np.uint8)
    order = [2, 0, 3, 1]  # of the table's rows in the store
    named = {"id": [f"image {n}" for n in order], "patient": [f"P{n}" for n in order], "record": np.arange(IMAGES)}
    targets = {"mask": marked(*np.moveaxis(pixels[order], -1, 0)).astype(np.uint8), "number": np.array(order, "f4")}
    table = pd.DataFrame(named | {"stratum": 0})
    return Pipeline(ImagesInMemory(pixels[order]), table, targets, 3, {"mask": "mask"})


@pytest.mark.parametrize("cut", [lambda images: random_patches(images, SIDE, 5, 1), lambda images: tiles(images, SIDE)])
def test_masks_are_cut_as_their_image_and_all_else_is_repeated(images, cut):
    patches = cut(images)
    pixels, count = patches.pixels(), len(patches.table) // IMAGES
    assert pixels.shape == (IMAGES * count, SIDE, SIDE, 3)
    assert pixels.dtype == patches.targets["mask"].dtype == np.uint8
    assert np.array_equal(patches.targets["mask"], marked(*np.moveaxis(pixels, -1, 0)))
    assert np.array_equal(patches.targets["number"], pixels[:, 0, 0, 2])
    assert list(patches.table["id"]) == [f"image {number}" for number in pixels[:, 0, 0, 2]]
    assert list(patches.table["id"]) == list(np.repeat(images.table["id"], count))
    assert list(patches.table["record"]) == list(patches.table.index) == list(range(IMAGES * count))
    for batch, targets, _ in patches.epoch(1, Variation()):
        assert np.array_equal(targets["mask"], marked(*np.moveaxis(batch.numpy(), -1, 0)))


def test_every_second_patch_lies_around_a_structure_that_the_image_shows(images):
    patches = random_patches(images, SIDE, 200, seed=3)
    shows = patches.targets["mask"].any(axis=(1, 2)).reshape(IMAGES, 200, 2)
    empty = images.targets["number"] == EMPTY
    assert shows[~empty, ::2].any(axis=-1).all()
    assert not shows[empty].any()
    of_dot = shows[images.targets["number"] == 1, ::2, 1].mean()
    assert 0.4 < of_dot < 0.65  # structures count the same, however small
    assert shows[~empty, 1::2, 1].mean() < 0.2
    corners = patches.pixels()[:, 0, 0, :2].reshape(IMAGES, 200, 2)
    assert np.unique(corners[empty].reshape(-1, 2), axis=0).shape[0] > 100  # uniform where nothing is shown
    assert corners.max() <= SIZE - SIDE


def test_patches_follow_from_the_seed(images):
    first, again, other = (random_patches(images, SIDE, 6, seed).pixels() for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("side", "across"), [(64, 3), (75, 2), (149, 2), (150, 1)])
def test_tiles_cover_each_image_and_are_no_more_than_it_takes(images, side, across):
    pixels = tiles(images, side).pixels().reshape(IMAGES, across**2, side, side, 3)
    for own in pixels:
        seen = np.zeros((SIZE, SIZE), int)
        np.add.at(seen, (own[..., 0], own[..., 1]), 1)
        assert seen.min() == 1
    starts = np.unique(pixels[0, :, 0, 0, 0])
    assert np.ptp(np.diff(starts)) <= 1 if across > 1 else len(starts) == 1

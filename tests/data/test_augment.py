from typing import get_args, get_type_hints

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from kmedtl.data.augment import MIXERS, PRESETS, STYLES, augmentation
from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.moving_layers import BORDER, RandomAffine, RandomBorder
from kmedtl.data.pipeline import Pipeline, Variation
from kmedtl.data.style_layers import FourierMix
from kmedtl.data.varying_layers import RandomBlur, RandomGamma, RandomNoise, blurred
from kmedtl.recipe.stage import Preset, Stage

LAYERS = {
    "affine": lambda seed: RandomAffine(0.1, 0.1, 0.05, 0.1, seed=seed),
    "mask": lambda seed: RandomBorder("mask", seed=seed),
    "crop": lambda seed: RandomBorder("crop", seed=seed),
    "noise": lambda seed: RandomNoise(12.0, seed=seed),
    "blur": lambda seed: RandomBlur(0.5, 0.3, 1.5, seed=seed),
    "gamma": lambda seed: RandomGamma(0.7, seed=seed),
    "fourier": lambda seed: FourierMix(0.3, seed=seed),
}


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (6, 40, 50, 3)).astype("float32")


def test_every_preset_of_a_recipe_is_there():
    assert set(PRESETS) == set(get_args(Preset))
    asked = {name: set(get_args(get_type_hints(Stage)[name])) for name in ("mix", "style")}
    assert asked == {
        "mix": {"none", *MIXERS},
        "style": {"none", "mixstyle", *STYLES},
    }  # styles of maps are mixed elsewhere


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_follows_from_its_seed_inside_tf_data(images, name):
    def varied(seed):
        layer = LAYERS[name](seed)
        batches = tf.data.Dataset.from_tensor_slices(images).batch(4)
        return np.concatenate(list(batches.map(lambda batch: layer(batch, training=True), num_parallel_calls=1)))

    assert np.array_equal(varied(1), varied(1))
    assert not np.array_equal(varied(1), varied(2))
    assert varied(1).shape == images.shape
    assert varied(1).min() >= 0
    assert varied(1).max() <= 255.001
    assert np.array_equal(LAYERS[name](1)(images, training=False), images)


def test_a_mask_blackens_each_side_by_itself_and_nothing_else():
    white = np.full((400, 50, 50, 1), 200, "float32")
    masked = np.asarray(RandomBorder("mask", seed=0)(white, training=True))[..., 0]
    assert set(np.unique(masked)) == {0, 200}
    rows, columns = masked.any(2), masked.any(1)
    widths = [rows.argmax(1), rows[:, ::-1].argmax(1), columns.argmax(1), columns[:, ::-1].argmax(1)]
    for width in widths:
        assert width.max() == pytest.approx(BORDER * 50, abs=1)
        assert width.mean() == pytest.approx(BORDER * 25, abs=0.5)
    assert np.abs(np.corrcoef(widths) - np.eye(4)).max() < 0.2
    assert np.array_equal(masked > 0, rows[:, :, None] & columns[:, None])


def test_a_crop_takes_the_border_away_and_keeps_the_rest_in_place():
    """Grey is the position across the image, so what is left tells where it came from."""
    ramp = np.broadcast_to(np.arange(100, dtype="float32"), (200, 100, 100))[..., None]
    across = np.asarray(RandomBorder("crop", seed=0)(ramp, training=True))[:, 50, :, 0]
    assert across[:, 0].min() < 1
    assert across[:, 0].max() == pytest.approx(100 * BORDER, abs=1.5)
    assert across[:, -1].min() == pytest.approx(99 - 100 * BORDER, abs=1.5)
    steps = np.diff(across[:, 2:-2], axis=1)
    assert np.allclose(steps, steps[:, :1], atol=1e-3)
    assert 1 - 2 * BORDER <= steps.min() <= steps.max() <= 1.001


def test_an_image_is_turned_shifted_and_zoomed_by_one_map_within_its_bounds():
    """Grey is the position, across in one channel and down in another, so that it tells where a pixel came from."""
    places = np.stack(np.meshgrid(np.arange(80), np.arange(60)), axis=-1).astype("float32")
    layer = RandomAffine(rotation=0.1, height=0.05, width=0.1, zoom=0.2, seed=0)
    moved = np.asarray(layer(np.repeat(places[None], 300, axis=0), training=True))
    right, down = moved[:, 30, 41] - moved[:, 30, 40], moved[:, 31, 40] - moved[:, 30, 40]
    assert np.allclose(down, np.stack([-right[:, 1], right[:, 0]], axis=1), atol=1e-3)  # a quarter turn: no shear
    zoom, angle = np.hypot(*right.T), np.arctan2(right[:, 1], right[:, 0]) / (2 * np.pi)
    middle = moved[:, 29:31, 39:41].mean((1, 2)) - [39.5, 29.5]
    for found, most in ((zoom - 1, 0.2), (angle, 0.1), (middle[:, 0], 8), (middle[:, 1], 3)):
        assert 0.95 * most < np.abs(found).max() <= most * 1.001
        assert abs(found.mean()) < 0.15 * most  # as much one way as the other
    drawn = np.stack([zoom, angle, *middle.T])
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 0.2


def test_boxes_go_where_the_map_puts_their_corners():
    """A turn by a quarter about the middle, drawn by hand: what lay at the top lies at a side."""
    layer, one = RandomAffine(seed=0), np.ones(1, "float32")
    drawn = tuple(map(keras.ops.convert_to_tensor, (0 * one, one, 2 * one, 0 * one)))
    image = np.zeros((1, 40, 40, 1), "float32")
    image[0, 4:8, 10:16] = 1
    rows, columns = np.nonzero(np.asarray(layer.planes(image, drawn))[0, ..., 0] > 0.5)
    given = {"boxes": np.array([[[10, 4, 16, 8]]], "float32"), "labels": np.zeros((1, 1))}
    (box,) = np.asarray(layer.boxes(given, drawn, image.shape)["boxes"])[0]
    assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_gamma_keeps_black_and_white_and_goes_both_ways():
    image = np.tile(np.array([0, 128, 255], "float32")[:, None, None], (50, 1, 1, 1))
    varied = np.asarray(RandomGamma(0.7, seed=0)(image, training=True))[:, :, 0, 0]
    assert np.allclose(varied[:, [0, 2]], [0, 255])
    darker = (varied[:, 1] < 128).mean()
    assert 0.3 < darker < 0.7


def test_each_image_is_blurred_by_its_own_deviation(images):
    deviations = np.linspace(0.3, 1.5, len(images), dtype="float32")
    found = np.asarray(blurred(images, deviations))
    for image, deviation, one in zip(images, deviations, found, strict=True):
        assert np.allclose(one, gaussian_filter(image, deviation, axes=(0, 1), radius=3), atol=1e-3)


def test_every_second_image_is_blurred(images):
    many = np.tile(images[:1, :12, :12], (400, 1, 1, 1))
    rough = np.abs(np.diff(RandomBlur(0.5, 0.5, 1.5, seed=0)(many, training=True), axis=2)).mean((1, 2, 3))
    plain = np.abs(np.diff(many[:1], axis=2)).mean()
    untouched = np.isclose(rough, plain)
    assert 0.4 < untouched.mean() < 0.6
    assert (rough[~untouched] < 0.8 * plain).all()
    assert len(np.unique(rough[~untouched].round(3))) > 100


def test_strong_films_vary_more_than_films(images):
    smooth = keras.ops.convert_to_numpy(keras.ops.image.resize(images[:, :8, :8], (64, 64)))

    def spread(preset):
        means = []
        for seed in range(6):
            varied = smooth
            for layer in augmentation(preset, 3, seed):
                varied = layer(varied, training=True)
            means.append(np.asarray(varied).mean((1, 2, 3)))
        return np.std(means, axis=0).mean()

    assert spread("xray_strong") > 1.3 * spread("xray")


@pytest.mark.parametrize("border", ["mask", "crop"])
def test_the_border_is_a_variation_of_a_pipeline(images, border):
    pixels = np.full((6, 40, 40, 1), 200, "uint8")
    pixels[:, 10:30, 10:30] = 90
    table = pd.DataFrame({"record": np.arange(6), "stratum": 0})
    pipeline = Pipeline(ImagesInMemory(pixels), table, {"logits": np.zeros((6, 1), "float32")}, 4)
    varied = np.concatenate([batch.numpy() for batch, *_ in pipeline.epoch(0, Variation(border=border))])
    centre = varied[:, 16:24, 16:24]
    assert np.all(centre == 90)
    assert not np.array_equal(varied, pixels)
    assert not Variation(border=border).is_none
    assert Variation().is_none


@pytest.mark.parametrize("border", ["none", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mask", "crop"))])
@pytest.mark.parametrize("preset", PRESETS)
def test_masks_and_boxes_move_with_their_image(preset, border):
    """A bright patch, its masks and its box are varied alike; what is unknown of the last image stays so."""
    random, count, size = np.random.default_rng(0), 8, 96
    pixels, mask = np.full((count, size, size, 3), 20, "uint8"), np.zeros((count, size, size, 1), "float32")
    boxes = np.zeros((count, 1, 4), "float32")
    for number, (top, left) in enumerate(random.integers(25, 45, (count, 2))):
        place = number, slice(top, top + 24), slice(left, left + 16)
        pixels[place], mask[place], boxes[number, 0] = 220, 1, (left, top, left + 16, top + 24)
    mask[-1], boxes[-1] = -1, -1
    targets = {"lesion": mask, "rest": np.where(mask < 0, -1, 1 - mask), "box": boxes}
    moves = {"lesion": "mask", "rest": "mask", "box": "boxes"}
    table = pd.DataFrame({"record": np.arange(count), "stratum": 0})
    pipeline = Pipeline(ImagesInMemory(pixels), table, targets, count, moves)
    ((varied, found, _),) = pipeline.varied(7, Variation(preset, border=border), "none").as_numpy_iterator()
    assert (found["lesion"][-1] == -1).all()
    assert (found["box"][-1] == -1).all()
    for image, lesion, rest, box in zip(varied[:-1], found["lesion"], found["rest"], found["box"], strict=False):
        bright = image.mean(-1) > (image.mean(-1).min() + image.mean(-1).max()) / 2
        inside = lesion[..., 0] > 0.5
        assert (bright & inside).sum() > 0.8 * (bright | inside).sum()
        assert not (inside & (rest[..., 0] > 0.5)).any()
        rows, columns = np.nonzero(inside)
        extent = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(box[0] - extent).max() < 3

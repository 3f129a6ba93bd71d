"""The style of an image is its spectrum's low amplitudes; what it shows is in the phases."""

import numpy as np
import pandas as pd
import pytest

from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.pipeline import Pipeline, Variation
from kmedtl.data.style_layers import FourierMix, with_amplitudes


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(100, 150, (6, 21, 30, 3)).astype("float32")


def spectra(images):
    return np.fft.fft2(np.asarray(images, "float64"), axes=(1, 2))


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_low_amplitudes_are_mixed_and_phases_stay(images, share):
    others, weights = np.roll(images, 1, axis=0) * 0.5, np.linspace(0, 1, 6, dtype="float32")[:, None, None, None]
    before, foreign, after = map(spectra, (images, others, with_amplitudes(images, others, weights, share)))
    down, across = (np.abs(np.fft.fftfreq(side)) <= share / 2 for side in images.shape[1:3])
    low = (down[:, None] & across)[None, :, :, None]
    expected = np.where(low, (1 - weights) * np.abs(before) + weights * np.abs(foreign), np.abs(before))
    assert 0.01 < low.mean() <= 1
    assert np.allclose(np.abs(after), expected, atol=0.1)
    clear = expected > 10  # a phase of next to nothing is rounding
    assert np.abs(np.angle(after / before))[clear].max() < 0.02


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_an_image_mixed_with_nothing_or_with_itself_is_as_it_was(images, weight):
    others = images if weight else images[::-1].copy()
    assert np.allclose(
        with_amplitudes(images, others, np.full((6, 1, 1, 1), weight, "float32"), 1.0), images, atol=0.01
    )
    assert np.allclose(FourierMix(0.5, strength=0.0, seed=0)(images, training=True), images, atol=0.01)


def test_a_wholly_black_image_stays_a_number():
    black = np.zeros((2, 16, 16, 1), "float32")
    assert np.array_equal(FourierMix(0.5, seed=0)(black, training=True), black)


def test_a_pipeline_gives_dark_images_the_light_of_bright_ones_and_leaves_labels_alone():
    """Each image is of one of two scanners: dark and flat, or bright and steep. What it shows is a place."""
    random, count = np.random.default_rng(0), 40
    bright, left = np.arange(count) % 2 == 1, random.random(count) < 0.5
    pixels = np.where(bright[:, None, None, None], 120, 40) + random.integers(0, 10, (count, 32, 32, 1))
    for number in range(count):
        place = slice(4, 14) if left[number] else slice(18, 28)
        pixels[number, 8:24, place] += 90 if bright[number] else 30
    table = pd.DataFrame({"record": np.arange(count), "stratum": 0})
    targets = {"logits": left[:, None].astype("float32")}
    pipeline = Pipeline(ImagesInMemory(pixels.astype("uint8")), table, targets, count)
    ((plain, _, _),) = pipeline.varied(3, Variation(), "none").as_numpy_iterator()
    ((styled, known, weights),) = pipeline.varied(3, Variation(style="fourier"), "none").as_numpy_iterator()
    ((again, *_),) = pipeline.varied(3, Variation(style="fourier"), "none").as_numpy_iterator()
    assert np.array_equal(styled, again)
    assert np.array_equal(known["logits"], targets["logits"])
    assert np.array_equal(weights, np.ones(count))
    mean = lambda images: images[~bright].mean((1, 2, 3))  # noqa: E731
    assert mean(plain).std() < 3
    assert mean(styled).std() > 10  # some of the dark ones are bright now
    sides = styled[:, 8:24, 4:14].mean((1, 2, 3)) > styled[:, 8:24, 18:28].mean((1, 2, 3))
    assert np.array_equal(sides, left)
    assert not Variation(style="fourier").is_none

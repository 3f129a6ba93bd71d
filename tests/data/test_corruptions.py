import subprocess
import sys

import numpy as np
import pytest

from kmedtl.data.corruptions import QUANTILES, REFERENCE, SEVERITIES, quantiles_of, suite
from kmedtl.data.phantom.film import films_of

SUITE = suite()


@pytest.fixture(scope="module")
def films():
    """Synthetic films, uint8 (N, 96, 96, 1)."""
    return np.stack([film.image for number in range(20) for film in films_of(number, 0, 96)])[..., None]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SUITE)
def test_each_follows_from_its_seed_and_grows_with_severity(films, name, channels):
    images = np.repeat(films, channels, axis=-1)
    before = images.copy()
    changed = [SUITE[name](images, severity, seed=0) for severity in SEVERITIES]
    assert np.array_equal(images, before)
    assert all(part.shape == images.shape and part.dtype == np.uint8 for part in changed)
    assert np.array_equal(changed[2], SUITE[name](images, 3, seed=0))
    effects = [np.abs(part.astype(float) - images).mean() for part in changed]
    assert effects[0] <= effects[1] <= effects[2] <= effects[3] <= effects[4]
    assert effects[0] < effects[2] < effects[4]


@pytest.mark.parametrize("name", ["contrast", "gamma", "exposure", "noise", "letterbox", "marker", "polarity"])
def test_what_is_random_differs_by_seed_and_by_image(films, name):
    images = np.repeat(films[:1], 40, axis=0)
    changed = SUITE[name](images, 3, seed=0)
    assert not np.array_equal(changed, SUITE[name](images, 3, seed=1))
    assert len(np.unique(changed.reshape(40, -1), axis=0)) > 1


@pytest.mark.parametrize("name", SUITE)
def test_an_image_fares_alike_in_any_company(films, name):
    assert np.array_equal(SUITE[name](films, 3, seed=2)[:4], SUITE[name](films[:4], 3, seed=2))


@pytest.mark.parametrize("name", SUITE)
def test_grey_films_stay_grey(films, name):
    changed = SUITE[name](np.repeat(films[:8], 3, axis=-1), 4, seed=0).astype(int)
    assert np.abs(changed - changed[..., :1]).max() <= 1


def test_a_film_is_inverted_wholly_or_not_at_all(films):
    changed = SUITE["polarity"](np.repeat(films, 10, axis=0), 5, seed=0)
    inverted = [np.array_equal(after, 255 - film) for after, film in zip(changed, np.repeat(films, 10, 0), strict=True)]
    kept = [np.array_equal(after, film) for after, film in zip(changed, np.repeat(films, 10, 0), strict=True)]
    assert np.all(np.logical_xor(inverted, kept))
    assert np.mean(inverted) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("reference", [REFERENCE, 60 + 100 * QUANTILES])
def test_a_histogram_reaches_its_reference(films, reference):
    def distance(images):
        return np.abs(quantiles_of(images) - reference)[26:230].mean()  # what is black in a film stays one grey value

    towards = [distance(suite(reference)["histogram"](films, severity, seed=0)) for severity in SEVERITIES]
    assert [distance(films), *towards] == sorted([distance(films), *towards], reverse=True)
    assert towards[-1] < 8


def test_the_reference_is_a_histogram():
    assert REFERENCE[0] == pytest.approx(0)
    assert REFERENCE[-1] == pytest.approx(255)
    assert np.all(np.diff(REFERENCE) >= 0)


def test_meanings_name_the_strength():
    assert SUITE["jpeg"].at(3) == "JPEG of quality 30"
    assert SUITE["gamma"].at(3).endswith("1.5 or 1/1.5")


def test_no_tensorflow_is_needed():
    code = "import sys, kmedtl.data.corruptions; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Large images through a window of the model's size."""

import numpy as np
import pytest

from kmedtl.edge.predictor import Model
from kmedtl.edge.shapes import FEATURES
from kmedtl.edge.sliding_window import SlidingWindow, by_window
from kmedtl.edge.tasks.mask_decoder import plain
from kmedtl.edge.tasks.segmentation import MASK
from kmedtl.errors import UserError
from kmedtl.images.read_image import read_image
from kmedtl.images.reading import Reading
from tests.models import decoder_of, info_of

SIZE = 16


def pixelwise(images):
    """Return a logit for each pixel that depends on it alone, and the mean of the window as its feature."""
    values = images.astype(np.float32)
    return {MASK: np.concatenate([values - 100, 50 - values], axis=-1), FEATURES: values.mean(axis=(1, 2))}


def position(images):
    """Return where in the window a pixel lies."""
    places = np.arange(SIZE * SIZE, dtype=np.float32).reshape(1, SIZE, SIZE, 1)
    return {MASK: np.repeat(places, len(images), axis=0)}


@pytest.mark.parametrize(("height", "width"), [(16, 16), (40, 61), (17, 16), (5, 80), (16, 200), (9, 7)])
def test_a_function_of_each_pixel_is_the_same_through_the_window(height, width):
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 1), np.uint8)
    found = SlidingWindow(pixelwise, SIZE, MASK)(image)
    assert found[MASK].shape == (1, height, width, 2)
    np.testing.assert_allclose(found[MASK], pixelwise(image)[MASK], atol=1e-4)
    assert found[FEATURES].shape == (1, 1)


def test_the_middle_of_a_window_counts_most():
    found = SlidingWindow(position, SIZE, MASK)(np.zeros((1, SIZE, 24, 1), np.uint8))[MASK][0, :, :, 0]
    assert np.array_equal(found[:, 0], SIZE * np.arange(SIZE))  # the first window alone
    near_middle_of_the_first = found[0, 9]
    assert abs(near_middle_of_the_first - 9) < abs(near_middle_of_the_first - 1)


def test_only_models_with_masks_have_a_window():
    mask = plain(("lesion", "vessel"), 2.0, "keep")
    model = by_window(Model(pixelwise, Reading(SIZE, 1), info_of(mask, SIZE)))
    assert model.reading.whole
    assert model.runtime(np.zeros((1, 30, 20, 1), np.uint8))[MASK].shape == (1, 30, 20, 2)
    for info in (None, info_of(decoder_of("binary", ("A", "B")), SIZE)):
        with pytest.raises(UserError, match=r"--window: expected a model of a segmentation"):
            by_window(Model(pixelwise, Reading(SIZE, 1), info))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_a_whole_image_is_as_large_as_its_file(name, tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 900, 3), np.uint8)).save(tmp_path / name, exif=exif)
    picture = read_image(tmp_path / name, Reading(SIZE, 3, whole=True))
    assert picture.pixels.shape == (900, 400, 3) == (picture.height, picture.width, 3)

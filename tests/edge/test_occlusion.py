import subprocess
import sys

import numpy as np
import pytest

from kmedtl.edge.occlusion import enlarge, occlusion

PATCH = (slice(40, 56), slice(8, 24))


def bright_patch(images):
    """A score: the mean of the patch."""
    return (images[:, *PATCH].mean(axis=(1, 2, 3)) / 255).astype(np.float32)


@pytest.fixture
def image():
    pixels = np.full((1, 64, 64, 1), 30, np.uint8)
    pixels[:, *PATCH] = 250
    return pixels


def test_the_map_is_highest_where_the_answer_comes_from(image):
    (found,) = occlusion(bright_patch, image, grid=8)
    assert found.dtype == np.float32
    assert found.shape == (64, 64)
    assert (found.min(), found.max()) == (0, 1)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 40 <= row < 56
    assert 8 <= column < 24
    assert found[:24].max() == 0
    assert found[:, 40:].max() == 0


def test_an_answer_that_rests_on_nothing_has_an_empty_map(image):
    assert not occlusion(lambda images: np.zeros(len(images)), image, grid=4).any()


def test_what_lowers_the_answer_is_no_evidence_for_it(image):
    assert not occlusion(lambda images: -bright_patch(images), image, grid=8).any()


@pytest.mark.parametrize(("height", "width", "grid"), [(65, 43, 7), (32, 32, 32), (50, 50, 1)])
def test_any_size_is_covered_completely(height, width, grid):
    sums = []

    def score(images):
        sums.extend(images.astype(int).sum(axis=(1, 2, 3)))
        return np.zeros(len(images), np.float32)

    image = np.zeros((1, height, width, 1), np.uint8)
    image[:, height // 2, width // 2] = 255
    assert occlusion(score, image, grid, cover=1).shape == (1, height, width)
    assert len(sums) == grid**2 + 1
    assert sums[1:].count(0) == 1  # one patch, and no other, lies on the one bright pixel


def test_enlarged_maps_keep_their_place_and_lose_their_negatives():
    coarse = np.zeros((3, 4, 4), np.float32)
    coarse[0, 1, 2], coarse[1] = 5, -1
    large = enlarge(coarse, 16, 16)
    assert np.unravel_index(large[0].argmax(), (16, 16)) in {(row, col) for row in range(4, 8) for col in range(8, 12)}
    assert large[0].max() == 1
    assert not large[1:].any()


@pytest.mark.parametrize("module", ["occlusion", "out_of_distribution"])
def test_the_device_needs_no_tensorflow(module):
    banned = "{'pandas', 'scipy', 'sklearn', 'tensorflow', 'keras', 'matplotlib'}"
    code = f"import sys, kmedtl.edge.{module}; print({banned} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

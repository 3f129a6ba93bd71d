import io

import numpy as np
import pytest
from PIL import Image

from kmedtl.edge.heat_map import overlay
from kmedtl.explain.overlay import gallery
from kmedtl.images.thumbnail import jpeg
from kmedtl.tasks.classification.cases import cases
from tests.models import decoder_of, examples_of, question_of


@pytest.fixture
def found():
    down, across = np.ogrid[:224, :224]
    return np.exp(-((down - 60) ** 2 + (across - 150) ** 2) / 1500)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("grey", [0, 255])
def test_the_map_can_be_seen_on_any_ground_without_colours(found, channels, grey):
    image = np.full((224, 224, channels), grey, np.uint8)
    laid = overlay(image, found)
    assert laid.dtype == np.uint8
    assert laid.shape == (224, 224, 3)
    assert (laid[200:, :20] == grey).all()  # where the map is 0 the image stays
    half = found >= 0.5
    across = np.flatnonzero(half[60])
    assert (laid[60, across[0]] == 0).all()
    assert (laid[60, across[0] - 1] == 255).all()


def test_an_empty_map_leaves_the_image():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert (overlay(image, np.zeros((32, 32))) == image).all()


def test_a_gallery_is_small_and_carries_the_ids_of_the_predictions(found):
    random = np.random.default_rng(0)
    logits, targets = random.normal(0, 2, (12, 1)), random.integers(0, 2, (12, 1))
    decoder, examples = decoder_of("binary", ("NORMAL", "PNEUMONIA")), examples_of(targets, logits)
    chosen = cases(question_of(), examples, decoder, 2)
    rough = random.normal(128, 40, (len(chosen), 56, 56)).clip(0, 255).astype(np.uint8)
    pixels = rough.repeat(4, axis=1).repeat(4, axis=2)[..., None]
    maps = np.broadcast_to(found, (len(chosen), 224, 224))
    tiles = gallery(chosen, examples.ids, pixels, maps)
    assert [tile.case for tile in tiles] == chosen
    for tile in tiles:
        said = "called" if logits[tile.case.row, 0] >= 0 else "not called"
        truth = "PNEUMONIA" if targets[tile.case.row, 0] else "not PNEUMONIA"
        assert tile.case.caption.startswith(f"Truth: {truth}. PNEUMONIA {said}, probability 0.")
        assert tile.id == str(tile.case.row)
        for file in (tile.image, tile.overlay):
            assert len(file) <= 25_000
            assert Image.open(io.BytesIO(file)).size == (224, 224)


def test_jpegs_keep_their_channels():
    assert Image.open(io.BytesIO(jpeg(np.zeros((8, 8, 1), np.uint8)))).mode == "L"
    assert Image.open(io.BytesIO(jpeg(np.zeros((8, 8, 3), np.uint8)))).mode == "RGB"

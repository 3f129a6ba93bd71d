"""Images that show next to nothing are found, named, and refused where they are many."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kmedtl.audit.pixels import poor_pixels
from kmedtl.errors import UserError
from kmedtl.recipe import Data, Recipe, Stage
from kmedtl.runs.prepare import prepare, refuse

SIDE = 40
random = np.random.default_rng(0)
NOISE = random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


def film(kind):
    ramp = np.linspace(0, 255, SIDE * SIDE).reshape(SIDE, SIDE)
    return {
        "": NOISE,
        "constant": np.full((SIDE, SIDE), 128, np.uint8),
        "almost constant": 120 + NOISE // 32,
        "saturated": np.where(ramp < 50, NOISE, 255),
        "clipped": np.where(ramp > 128, 255, 0),
    }[kind].astype(np.uint8)


@pytest.mark.parametrize("kind", ["", "constant", "almost constant", "saturated", "clipped"])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_kind_of_poor_image_is_told(kind, channels):
    images = np.repeat(film(kind)[None, ..., None], channels, axis=3)
    assert list(poor_pixels(images)) == [kind]


@pytest.mark.parametrize(
    "image",
    [
        np.where(np.hypot(*np.mgrid[-20:20, -20:20]) < 4, NOISE, 0),  # the last slice of a head: next to all black
        np.where(np.hypot(*np.mgrid[-20:20, -20:20]) < 18, 90 + NOISE // 4, 0),  # a retina
        np.where(np.hypot(*np.mgrid[-20:20, -20:20]) < 14, NOISE, 255),  # a piece of tissue on white
        200 + NOISE // 8,  # a soft film
    ],
)
def test_what_real_images_look_like_is_not_poor(image):
    assert list(poor_pixels(image[None, ..., None].astype(np.uint8))) == [""]


def folder(root, poor, kind="constant", count=20):
    """Write two classes of noise; the first `poor` images of the second are of a kind."""
    for number in range(2 * count):
        label = "ab"[number // count]
        (root / label).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        is_poor = label == "b" and number - count < poor
        Image.fromarray(film(kind) if is_poor else pixels).save(root / label / f"{number}.png")
    return Data(str(root), size=SIDE, channels=1)


@pytest.mark.parametrize("kind", ["constant", "almost constant", "saturated", "clipped"])
def test_poor_images_are_named_and_many_are_refused(tmp_path, kind):
    recipe = Recipe("r", (Stage("head", "head", 1, 0.01),), data=folder(tmp_path / "few", 1, kind))
    data = prepare(recipe.data, 0)
    assert data.audit.poor == {kind: ("b/20.png",)}
    assert any(f"{kind.capitalize()} images, which show next to nothing: 1, first: b/20.png" in one
               for one in data.audit.warnings)  # fmt: skip
    refuse(data, recipe)
    recipe = replace(recipe, data=folder(tmp_path / "many", 2, kind))
    data = prepare(recipe.data, 0)
    with pytest.raises(
        UserError, match=rf"2 of 20 images of the class 'b' show next to nothing, first: b/20.png, {kind}"
    ):
        refuse(data, recipe)
    refuse(data, replace(recipe, data=replace(recipe.data, max_poor=0.2)))


@pytest.mark.parametrize("poor", [2, 3])
def test_without_classes_all_images_are_one_group(tmp_path, poor):
    recipe = Recipe("r", (Stage("head", "head", 1, 0.01),), data=folder(tmp_path, poor))
    data = prepare(recipe.data, 0, ask=lambda manifest: (None, replace(manifest, classes=(), multi_label=True)))
    if poor == 2:
        return refuse(data, recipe)  # 5 % of 40
    with pytest.raises(UserError, match=r"3 of 40 images show next to nothing, first: b/20.png, constant"):
        refuse(data, recipe)


@pytest.mark.parametrize("bits", [8, 12])
def test_values_of_few_bits_in_deep_files_fill_the_range(tmp_path, bits):
    for number in range(8):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 2**bits, (SIDE, SIDE), dtype=np.uint16)
        Image.fromarray(pixels).save(tmp_path / "ab"[number % 2] / f"{number}.png")
    data = prepare(Data(str(tmp_path), size=SIDE, channels=1), 0)
    assert data.audit.poor == {}
    said = (
        "8 images of more than 8 bits are seen through the window that a DICOM file names, else each from its smallest"
    )
    assert any(said in warning for warning in data.audit.warnings)
    assert all(image.std() > 60 for image in data.store.images().as_numpy_iterator())


def test_empty_slices_link_no_patients(tmp_path):
    for number in range(40):
        folder_ = tmp_path / "ab"[number // 2 % 2]
        folder_.mkdir(exist_ok=True)
        pixels = np.zeros_like(NOISE) if number % 2 else np.random.default_rng(number).integers(0, 256, NOISE.shape)
        Image.fromarray(pixels.astype(np.uint8)).save(folder_ / f"p{number // 2}-{number % 2}.png")
    data = prepare(Data(str(tmp_path), size=SIDE, channels=1, patient_pattern=r"(p\d+)-"), 0)
    assert data.audit.duplicates
    assert data.audit.conflicts == ()
    assert data.table["twin"].nunique() == 40

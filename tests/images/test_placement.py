"""Where an image lies in the square, and the way back."""

import numpy as np
import pydicom
import pytest
from PIL import Image

from kmedtl.images.placement import Placement, placement, to_file, to_square
from kmedtl.images.read_image import from_array, read_image
from kmedtl.images.reading import Reading
from tests.data.sources.test_dicom_tree import write_dicom

SIZES = [(300, 100), (100, 300), (257, 31), (64, 64), (7, 3), (1, 1), (1, 90), (90, 1), (2000, 1), (640, 479)]


def test_the_square_is_filled_or_holds_the_whole_image_in_its_middle():
    assert placement(300, 100, 64, "stretch") == Placement(0, 0, 64, 64)
    assert placement(300, 100, 64, "keep") == Placement(top=21, left=0, height=21, width=64)
    assert placement(100, 300, 64, "keep") == Placement(top=0, left=21, height=64, width=21)
    assert placement(2000, 1, 64, "keep") == Placement(top=31, left=0, height=1, width=64)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_box_lies_inside_and_keeps_the_aspect_ratio(width, height):
    place = placement(width, height, 64, "keep")
    assert max(place.width, place.height) == 64
    assert min(place.top, place.left) >= 0
    assert place.top + place.height <= 64
    assert place.left + place.width <= 64
    assert abs(place.width * height - place.height * width) <= max(width, height)  # a pixel of rounding, or less


@pytest.mark.parametrize("aspect", ["stretch", "keep"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_mask_comes_back_within_a_pixel_of_the_square(width, height, aspect):
    """A rectangle that covers the middle third comes back with its borders less than a pixel away, of either grid."""
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height - height // 3, width // 3 : width - width // 3] = True
    again = to_file(to_square(mask, 64, aspect), width, height, aspect, nearest=True)
    assert again.shape == mask.shape
    assert again.dtype == bool
    place = placement(width, height, 64, aspect)
    for axis, (side, cells) in enumerate(((height, place.height), (width, place.width))):
        before, after = (np.flatnonzero(one.any(axis=1 - axis)) for one in (mask, again))
        if side >= 7 and cells >= 7:
            assert abs(before[0] - after[0]) <= max(1, side / cells)
            assert abs(before[-1] - after[-1]) <= max(1, side / cells)


@pytest.mark.parametrize("aspect", ["stretch", "keep"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_levels_come_back_as_pillow_would_enlarge_them(width, height, aspect):
    square = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    found = to_file(square, width, height, aspect)
    place = placement(width, height, 64, aspect)
    assert found.shape == (height, width)
    assert found.dtype == np.uint8
    if width >= place.width and height >= place.height:
        box = Image.fromarray(square[place.box])
        exact = np.asarray(box.resize((width, height), Image.Resampling.BILINEAR), int)
        assert np.abs(found - exact).max() <= 1


def test_the_side_of_a_file_that_was_not_scaled_comes_back_as_it_was():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 64), dtype=np.uint8)
    square = from_array(pixels, Reading(64, 1, aspect="keep"))[..., 0]
    assert np.array_equal(to_file(square, 64, 40, "keep"), pixels)
    assert np.array_equal(to_file(square, 64, 40, "keep", nearest=True), pixels)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(300, 100), (99, 1201)])
def test_an_image_that_keeps_its_aspect_ratio_lies_on_black(tmp_path, suffix, channels, size):
    Image.new("RGB", size, (200, 200, 200)).save(tmp_path / f"a.{suffix}")
    reading = Reading(64, channels, aspect="keep")
    picture = read_image(tmp_path / f"a.{suffix}", reading)
    inside = np.zeros((64, 64), bool)
    inside[placement(picture.width, picture.height, 64, "keep").box] = True
    assert picture.pixels.shape == (64, 64, channels)
    assert np.abs(picture.pixels[inside].astype(int) - 200).max() <= 2
    assert not picture.pixels[~inside].any()
    assert np.abs(from_array(np.full((*size[::-1], 3), 200, np.uint8), reading).astype(int) - picture.pixels).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "large.jpg", "a.tif"])
def test_a_turned_file_lies_where_its_upright_copy_lies(tmp_path, name, orientation):
    """Odd sizes, so that what is centred before it is turned would lie a pixel beside."""
    width, height = (901, 598) if name == "large.jpg" else (61, 38)
    soft = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
    image = Image.fromarray(soft).resize((width, height), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {".jpg": {"quality": 95}, ".tif": {"compression": "tiff_lzw"}}
    image.save(tmp_path / name, exif=exif, **options.get(name[-4:], {}))
    reading = Reading(33, 1, aspect="keep")
    picture = read_image(tmp_path / name, reading)
    assert (picture.width, picture.height) == ((height, width) if orientation > 4 else (width, height))
    turns = {
        1: lambda pixels: pixels, 2: np.fliplr, 3: lambda pixels: np.rot90(pixels, 2), 4: np.flipud,
        5: np.transpose, 6: lambda pixels: np.rot90(pixels, -1), 7: lambda pixels: np.rot90(pixels, 2).T,
        8: np.rot90,
    }  # fmt: skip
    upright = from_array(np.ascontiguousarray(turns[orientation](np.asarray(image))), reading)
    place = placement(picture.width, picture.height, 33, "keep")
    outside = np.ones((33, 33), bool)
    outside[place.box] = False
    assert outside.any()
    assert not picture.pixels[outside].any()
    assert np.abs(picture.pixels.astype(int) - upright).max() <= (6 if name.endswith("jpg") else 1)


def test_a_dicom_image_keeps_its_aspect_ratio(tmp_path):
    write_dicom(tmp_path / "a.dcm", 1)
    data = pydicom.dcmread(tmp_path / "a.dcm")
    rows = int(data.Rows) // 2
    data.PixelData = data.PixelData[: len(data.PixelData) // 2]
    data.Rows = rows
    data.save_as(tmp_path / "wide.dcm")
    picture = read_image(tmp_path / "wide.dcm", Reading(32, 1, aspect="keep"))
    assert (picture.width, picture.height) == (int(data.Columns), rows)
    assert picture.pixels[8:24].any()
    assert not picture.pixels[:8].any()
    assert not picture.pixels[24:].any()

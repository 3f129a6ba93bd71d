"""Masks as people have them: each shape comes out as what it marks."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kmedtl.images.marks import FOREGROUND, marks_of
from kmedtl.images.masks import read_mask, read_masks
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.reading import Reading

WIDTH, HEIGHT = 60, 40
RED, GREEN = (255, 0, 0), (0, 255, 0)
NAMED = {"vessel": "#ff0000", "disc": "#00ff00"}


def areas():
    """Return two areas that do not touch, bool (HEIGHT, WIDTH): an ellipse and a rectangle."""
    down, across = np.ogrid[:HEIGHT, :WIDTH]
    first = ((across - 15) / 10) ** 2 + ((down - 18) / 13) ** 2 <= 1
    second = (across >= 35) & (across < 55) & (down >= 5) & (down < 20)
    return first, second


FIRST, SECOND = areas()
BOTH = FIRST | SECOND


def of_values(first, second=None, background=0, dtype=np.uint8):
    second = first if second is None else second
    depth = np.shape(first)
    pixels = np.full((HEIGHT, WIDTH, *depth), background, dtype)
    pixels[FIRST], pixels[SECOND] = first, second
    return pixels


def with_palette(pixels, palette):
    shown = Image.frombytes("P", (WIDTH, HEIGHT), pixels.tobytes())
    shown.putpalette(palette)
    return shown


GRAY = [level for value in range(256) for level in (value,) * 3]
REVERSED = [level for value in range(255, -1, -1) for level in (value,) * 3]
COLOURED = [0, 0, 0, *RED, *GREEN]
RED_BEFORE_BLACK = [*RED, 0, 0, 0]
RANDOM = [70, 0, 80, *RED, *GREEN]
SMALL_GRAY = [0, 0, 0, 255, 255, 255]
transparent = np.dstack([of_values(RED, GREEN, (255, 255, 255)), of_values(255)])
opacity_alone = np.dstack([np.zeros((HEIGHT, WIDTH, 3), np.uint8), of_values(255)])

SHAPES = {  # what people have → (image, suffix, structures, what each is to mark)
    "1": (Image.fromarray(BOTH), "png", FOREGROUND, [BOTH]),
    "1, named": (Image.fromarray(BOTH), "tif", {"a": 255}, [BOTH]),
    "L 0/255": (Image.fromarray(of_values(255)), "png", FOREGROUND, [BOTH]),
    "L 0/255, named": (Image.fromarray(of_values(255)), "bmp", {"a": 255}, [BOTH]),
    "L 0/1": (Image.fromarray(of_values(1)), "png", FOREGROUND, [BOTH]),
    "L 0/1, named": (Image.fromarray(of_values(1)), "png", {"a": 1}, [BOTH]),
    "L labels": (Image.fromarray(of_values(1, 2)), "png", {"a": 1, "b": 2}, [FIRST, SECOND]),
    "L labels, the other order": (Image.fromarray(of_values(1, 2)), "png", {"b": 2, "a": 1}, [SECOND, FIRST]),
    "L labels as one": (Image.fromarray(of_values(128, 255)), "png", FOREGROUND, [BOTH]),
    "L background": (Image.fromarray(of_values(1, 2)), "png", {"x": 0, "a": 1, "b": 2}, [~BOTH, FIRST, SECOND]),
    "white background": (Image.fromarray(of_values(0, 0, 255)), "png", {"a": 0, "rest": 255}, [BOTH, ~BOTH]),
    "GIF": (Image.fromarray(of_values(255)), "gif", FOREGROUND, [BOTH]),
    "RGB that is gray": (Image.fromarray(of_values((255, 255, 255))), "png", {"a": 255}, [BOTH]),
    "RGB colours": (Image.fromarray(of_values(RED, GREEN)), "png", NAMED, [FIRST, SECOND]),
    "RGB colours as one": (Image.fromarray(of_values(RED, GREEN)), "png", FOREGROUND, [BOTH]),
    "gray by colour": (Image.fromarray(of_values(255)), "png", {"a": "#FFFFFF"}, [BOTH]),
    "RGBA": (Image.fromarray(transparent), "png", NAMED, [FIRST, SECOND]),
    "RGBA, opacity alone": (Image.fromarray(opacity_alone), "png", FOREGROUND, [BOTH]),
    "LA": (Image.fromarray(of_values((255, 255), background=(255, 0))), "png", FOREGROUND, [BOTH]),
    "P gray": (with_palette(of_values(255), GRAY), "png", {"a": 255}, [BOTH]),
    "P reversed": (with_palette(of_values(0, 0, 255), REVERSED), "png", {"a": 255}, [BOTH]),
    "P reversed, unnamed": (with_palette(of_values(0, 0, 255), REVERSED), "png", FOREGROUND, [BOTH]),
    "P two grays": (with_palette(of_values(1), SMALL_GRAY), "png", {"a": 255}, [BOTH]),
    "P labels": (with_palette(of_values(1, 2), COLOURED), "png", {"a": 1, "b": 2}, [FIRST, SECOND]),
    "P colours": (with_palette(of_values(1, 2), COLOURED), "png", NAMED, [FIRST, SECOND]),
    "P as one": (with_palette(of_values(1, 2), COLOURED), "png", FOREGROUND, [BOTH]),
    "P red before black": (with_palette(of_values(0, 0, 1), RED_BEFORE_BLACK), "png", FOREGROUND, [BOTH]),
    "P of random colours": (with_palette(of_values(1, 2), RANDOM), "png", FOREGROUND, [BOTH]),
    "P all black": (with_palette(of_values(1, 2), [0] * 768), "png", {"a": 1, "b": 2}, [FIRST, SECOND]),
    "16 bit instances": (Image.fromarray(of_values(7, 1200, dtype=np.uint16)), "png", FOREGROUND, [BOTH]),
    "16 bit labels": (Image.fromarray(of_values(7, 900, dtype=np.uint16)), "tif", {"b": 900, "a": 7}, [SECOND, FIRST]),
    "32 bit": (Image.fromarray(of_values(1, 70000, dtype=np.int32)), "tif", {"a": 1, "b": 70000}, [FIRST, SECOND]),
    "float": (Image.fromarray(of_values(1, 2, dtype=np.float32)), "tif", {"a": 1, "b": 2}, [FIRST, SECOND]),
    "empty": (Image.new("L", (WIDTH, HEIGHT)), "png", FOREGROUND, [BOTH & False]),
    "full": (Image.new("L", (WIDTH, HEIGHT), 255), "png", FOREGROUND, [BOTH | True]),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_marks_what_it_shows(tmp_path, shape):
    image, suffix, structures, expected = SHAPES[shape]
    path = tmp_path / f"mask.{suffix}"
    image.save(path)
    found = read_mask(path, structures)
    assert list(found.marked) == list(structures)
    for name, pixels in zip(structures, expected, strict=True):
        assert np.array_equal(found.marked[name], pixels), name
    assert (found.width, found.height) == (WIDTH, HEIGHT)
    assert (found.unnamed, found.soft) == ((), False)


def soft(how):
    """Return a mask with blurred borders, and what it shows from half on."""
    sharp = Image.fromarray(of_values(255))
    blurred = sharp.filter(ImageFilter.GaussianBlur(1)) if how == "blurred" else sharp
    return blurred, np.asarray(blurred) >= 128


@pytest.mark.parametrize(
    ("how", "suffix"), [("blurred", "png"), ("blurred", "tif"), ("sharp", "jpg"), ("sharp", "webp")]
)
@pytest.mark.parametrize("structures", [FOREGROUND, {"a": 255}, {"a": "#ffffff"}])
def test_blurred_borders_are_told_and_thresholded_where_asked(tmp_path, how, suffix, structures):
    image, expected = soft(how)
    path = tmp_path / f"mask.{suffix}"
    image.save(path, quality=70)
    told = read_mask(path, structures)
    assert told.soft
    assert told.count > 2
    found = read_mask(path, structures, soft="threshold")
    assert not found.soft
    assert found.unnamed == ()
    (pixels,) = found.marked.values()
    assert (pixels != expected).mean() <= (0.005 if suffix in ("jpg", "webp") else 0)


def test_a_jpeg_in_another_format_is_soft_too(tmp_path):
    Image.fromarray(of_values(255)).save(tmp_path / "a.jpg", quality=60)
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", FOREGROUND).soft


def test_soft_colours_go_to_the_nearest_named_one(tmp_path):
    Image.fromarray(of_values(RED, GREEN)).filter(ImageFilter.GaussianBlur(1)).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", NAMED).soft
    found = read_mask(tmp_path / "a.png", NAMED, soft="threshold")
    assert (found.marked["vessel"] != FIRST).mean() < 0.01
    assert (found.marked["disc"] != SECOND).mean() < 0.01
    assert found.unnamed == ()


def test_soft_levels_go_to_the_nearest_named_one(tmp_path):
    blurred = Image.fromarray(of_values(120, 255)).filter(ImageFilter.GaussianBlur(0.8))
    blurred.save(tmp_path / "a.png")
    found = read_mask(tmp_path / "a.png", {"a": 120, "b": 255}, soft="threshold")
    level = np.asarray(blurred).astype(int)
    assert np.array_equal(found.marked["b"], level >= 188)
    assert np.array_equal(found.marked["a"], (level >= 60) & (level < 188))


def test_many_instances_in_8_bits_are_not_soft(tmp_path):
    pixels = np.zeros((120, 120), np.uint8)
    for number in range(200):
        row, column = divmod(number, 15)
        pixels[8 * row : 8 * row + 5, 8 * column : 8 * column + 5] = number + 56
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_mask(tmp_path / "a.png", FOREGROUND)
    assert not found.soft
    assert found.count == 201
    assert len(found.values) == 64
    assert np.array_equal(found.marked["foreground"], pixels > 0)


@pytest.mark.parametrize("soft", ["refuse", "threshold"])
def test_a_value_that_nobody_named_is_told(tmp_path, soft):
    Image.fromarray(of_values(1, 3)).save(tmp_path / "a.png")
    found = read_mask(tmp_path / "a.png", {"a": 1}, soft)
    assert found.unnamed == ("3",)
    assert not found.soft
    assert np.array_equal(found.marked["a"], FIRST)
    Image.fromarray(of_values(RED, (1, 2, 3))).save(tmp_path / "b.png")
    assert read_mask(tmp_path / "b.png", NAMED, soft).unnamed == ("#010203",)
    assert read_mask(tmp_path / "b.png", {"a": 255}, soft).unnamed == ("#010203", "#ff0000")


@pytest.mark.parametrize("soft", ["refuse", "threshold"])
def test_a_palette_shows_its_colours_where_values_name_nothing_of_it(tmp_path, soft):
    with_palette(of_values(1, 2), COLOURED).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", {"a": 1}, soft).unnamed == ("2",)
    assert read_mask(tmp_path / "a.png", {"a": "#ff0000"}, soft).unnamed == ("#00ff00",)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_turned_mask_is_read_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(of_values(1, 2)).save(tmp_path / f"a.{suffix}", exif=exif)
    found = read_mask(tmp_path / f"a.{suffix}", {"a": 1, "b": 2})
    turns = {1: 0, 3: 2, 6: -1, 8: 1}[orientation]
    assert np.array_equal(found.marked["a"], np.rot90(FIRST, turns))
    assert np.array_equal(found.marked["b"], np.rot90(SECOND, turns))
    assert (found.width, found.height) == found.marked["a"].shape[::-1]


PATTERNS = {"lung": "*_lung*", "lesion": "*_mask*"}


def test_files_mark_by_their_names_or_by_their_values():
    assert marks_of("/x/P1_LUNG.png", PATTERNS) == {"lung": "*_lung*"}
    assert marks_of("/x_lung/P1.png", PATTERNS) == {}
    assert marks_of("/x/P1.png", {**PATTERNS, "bone": 3}) == {"bone": 3}
    assert marks_of("/x/P1_lung.png", {**PATTERNS, "bone": 3}) == {"lung": "*_lung*"}
    assert marks_of("/x/P1.png", FOREGROUND) == FOREGROUND


def test_a_link_of_a_hidden_name_goes_by_the_name_it_leads_to(tmp_path):
    Image.fromarray(of_values(1)).save(tmp_path / "a_lung.png")
    (tmp_path / "3f2a.png").symlink_to(tmp_path / "a_lung.png")
    assert list(read_mask(tmp_path / "3f2a.png", PATTERNS).marked) == ["lung"]


def test_several_files_mark_together_by_values_and_apart_by_names(tmp_path):
    overlapping = SECOND | (np.indices(SECOND.shape).sum(axis=0) < 20)
    for name, area in (("a_lung", FIRST), ("a_mask", SECOND), ("a_mask_1", overlapping)):
        Image.fromarray(area).save(tmp_path / f"{name}.png")
    paths = [str(path) for path in sorted(tmp_path.glob("*.png"))]
    reading = Reading(60, 1, aspect="keep")
    apart = read_masks(paths, PATTERNS, reading)
    assert apart.areas == (FIRST.sum(), overlapping.sum())
    assert np.array_equal(apart.planes[10:50, :, 0], FIRST)
    assert np.array_equal(apart.planes[10:50, :, 1], overlapping)
    assert not apart.planes[:10].any()
    together = read_masks(paths, FOREGROUND, reading)
    assert together.areas == ((BOTH | overlapping).sum(),)
    assert set(together.files) == set(paths)
    nothing = read_masks(paths[:1], {"lesion": "*_mask*"}, reading)
    assert nothing.files == {}
    assert nothing.areas == (0,)
    assert nothing.planes.shape == (60, 60, 1)
    assert not nothing.planes.any()


@pytest.mark.parametrize("aspect", ["stretch", "keep"])
def test_planes_lie_as_the_image_lies(tmp_path, aspect):
    from kmedtl.images.read_image import read_image

    Image.fromarray(of_values(255)).save(tmp_path / "a.png")
    reading = Reading(33, 1, aspect=aspect)
    image = read_image(tmp_path / "a.png", reading).pixels[..., 0]
    planes = read_masks([str(tmp_path / "a.png")], FOREGROUND, reading).planes[..., 0]
    assert planes[image == 255].all()
    assert not planes[image == 0].any()


def test_masks_of_one_image_must_have_one_size(tmp_path):
    Image.new("1", (8, 6)).save(tmp_path / "a.png")
    Image.new("1", (8, 7)).save(tmp_path / "b.png")
    with pytest.raises(UnreadableImageError, match=r"different sizes: a\.png 8 × 6, b\.png 8 × 7"):
        read_masks([str(tmp_path / "a.png"), str(tmp_path / "b.png")], FOREGROUND, Reading(32, 1))


def test_what_is_no_mask_has_a_reason(tmp_path):
    (tmp_path / "a.png").write_bytes(b"hello")
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "b.tif")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "c.png")
    for name, reason in (("a.png", "not a PNG"), ("b.tif", "fractions"), ("c.png", "limit"), ("d.png", "no such file")):
        with pytest.raises(UnreadableImageError, match=reason):
            read_mask(tmp_path / name, FOREGROUND)

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import read_image
from kmedtl.images.reading import Reading, Window


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_lossless_formats_keep_their_pixels(tmp_path, suffix):
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    picture = read_image(tmp_path / f"a{suffix}", Reading(8, 1))
    assert np.array_equal(picture.pixels[..., 0], pixels)
    assert (picture.width, picture.height) == (8, 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_uint8(tmp_path, mode, channels):
    image = Image.new("RGB", (20, 10), (200, 100, 50)).convert("L" if mode in ("I;16", "I", "F") else mode)
    if mode in ("I;16", "I", "F"):
        image = image.convert("I").convert(mode)
    image.save(tmp_path / "a.tif")
    picture = read_image(tmp_path / "a.tif", Reading(16, channels))
    assert picture.pixels.shape == (16, 16, channels)
    assert picture.pixels.dtype == np.uint8
    assert picture.mode == mode
    assert picture.bits == {"1": 1, "I;16": 16, "I": 32, "F": 32}.get(mode, 8)


DEEP = {  # how the same values 0–4095 come from a scanner, and what was added to them
    "a.png": (np.uint16, 0),
    "a.tif": (np.uint16, 0),
    "b.tif": (np.uint16, 32768),
    "c.tif": (np.int32, -1024),
    "d.tif": (np.float32, 0),
    "a.pgm": (np.uint16, 0),
    "a.jp2": (np.uint16, 0),
}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_every_deep_image_is_read_by_one_rule(tmp_path, name, bits):
    dtype, offset = DEEP[name]
    if offset == 32768 and bits == 16:
        pytest.skip("does not fit")
    values = np.linspace(0, 2**bits - 1, 256).round().reshape(16, 16)
    deep = (values + offset).astype(dtype)
    options = {"irreversible": False} if name.endswith("jp2") else {}
    Image.fromarray(deep).save(tmp_path / name, **options)
    whole = read_image(tmp_path / name, Reading(16, 1))
    assert np.array_equal(whole.pixels[..., 0], np.arange(256).reshape(16, 16))
    assert whole.bits > 8
    window = Window(center=2 ** (bits - 2), width=2 ** (bits - 1) + 1)  # the lower half of the range
    pixels = read_image(tmp_path / name, Reading(16, 1, window, offset)).pixels[..., 0]
    assert np.abs(pixels.astype(int).ravel()[:128] - 2 * np.arange(128)).max() <= 2
    assert (pixels.ravel()[129:] >= 254).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_tiff_that_counts_from_white_is_turned_round(tmp_path, dtype):
    values = np.arange(256).reshape(16, 16).astype(dtype)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={262: 0})
    with Image.open(tmp_path / "a.tif") as image:
        assert image.tag_v2[262] == 0
    assert np.array_equal(read_image(tmp_path / "a.tif", Reading(16, 1)).pixels.ravel(), np.arange(256)[::-1])


def test_a_named_window_is_dicoms_alone(tmp_path):
    Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16)).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=r"only DICOM files name windows, such as LUNG; set data\.window"):
        read_image(tmp_path / "a.png", Reading(16, 1, Window(name="LUNG")))


@pytest.mark.parametrize(("suffix", "options"), [("webp", {"lossless": True}), ("jp2", {}), ("ppm", {}), ("pnm", {})])
def test_further_formats_keep_their_pixels(tmp_path, suffix, options):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", **options)
    assert np.array_equal(read_image(tmp_path / f"a.{suffix}", Reading(32, 3)).pixels, pixels)


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp"])
@pytest.mark.parametrize("pages", [1, 3])
def test_further_pages_are_noticed(tmp_path, suffix, pages):
    first, *others = [Image.effect_noise((32, 32), 40 + 20 * number) for number in range(pages)]
    first.save(tmp_path / f"a.{suffix}", **({"save_all": True, "append_images": others} if others else {}))
    picture = read_image(tmp_path / f"a.{suffix}", Reading(32, 1))
    assert picture.more_pages == (pages > 1)
    assert np.abs(picture.pixels[..., 0].astype(int) - np.asarray(first)).mean() < 8


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(rows, height=64, parts=1):
    """Return a PNG file of noise, 64 wide, that holds `rows` of the `height` rows that it declares."""
    noise = np.random.default_rng(0).integers(1, 256, (rows, 64), dtype=np.uint8)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in noise))
    step = -(-len(packed) // parts)
    data = [chunk(b"IDAT", packed[start : start + step]) for start in range(0, len(packed), step)]
    header = struct.pack(">IIBBBBB", 64, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("parts", [1, 7])
@pytest.mark.parametrize(("rows", "whole"), [(64, True), (63, False), (30, False), (1, False)])
def test_a_png_whose_rows_end_early_is_unreadable(tmp_path, rows, whole, parts):
    (tmp_path / "a.png").write_bytes(png(rows, parts=parts))
    if whole:
        assert read_image(tmp_path / "a.png", Reading(64, 1)).pixels.min() > 0
    else:
        with pytest.raises(UnreadableImageError, match="its rows end early"):
            read_image(tmp_path / "a.png", Reading(64, 1))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_a_whole_png_that_ends_black_is_read(tmp_path, mode):
    image = Image.new(mode, (13, 9))
    image.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", Reading(8, 1)).width == 13


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"PK\x03\x04", "zip archive"),
        (b"  <!doctype html>", "web page"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_another_format_is_named(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(tmp_path / "a.jpg", Reading(8, 1))


@pytest.mark.parametrize("size", [(8, 16), (97, 201)])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a16.png", "a.tif"])
def test_a_phone_picture_is_turned_upright(tmp_path, name, size):
    image = Image.new("L", size)
    image.paste(255, (0, 0, size[0], size[1] // 2))  # the upper half, as stored
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    if name == "a16.png":
        image = Image.fromarray(np.asarray(image, np.uint16) * 257)
    image.save(tmp_path / name, exif=exif)
    picture = read_image(tmp_path / name, Reading(8, 1))
    assert (picture.width, picture.height) == size[::-1]
    assert picture.pixels[:, 5:].min() > 200
    assert picture.pixels[:, :3].max() < 50


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_turned_by_exif_reads_as_a_png_does(tmp_path, orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pictures = []
    for name in ("a.tif", "a.png"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif)
        pictures.append(read_image(tmp_path / name, Reading(64, 1)))
    tiff, png = pictures
    assert (tiff.width, tiff.height) == (png.width, png.height)
    assert np.abs(tiff.pixels.astype(int) - png.pixels).max() <= 1  # one is turned before it is resized


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("orientation", [1, 7])
def test_large_jpegs_are_decoded_small_without_visible_difference(tmp_path, mode, channels, orientation):
    random = np.random.default_rng(0)
    soft = Image.fromarray(random.integers(30, 220, (24, 20), dtype=np.uint8)).resize((1501, 1999), Image.BICUBIC)
    noisy = np.clip(np.asarray(soft, np.float32) + random.normal(0, 8, (1999, 1501)), 0, 255).astype(np.uint8)
    noisy[200:400, 300:330] = 255  # a marker's sharp edges
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noisy).convert(mode).save(tmp_path / "a.jpg", quality=90, exif=exif)

    picture = read_image(tmp_path / "a.jpg", Reading(224, channels))
    whole = Image.open(tmp_path / "a.jpg").convert("L" if channels == 1 else "RGB")
    exact = ImageOps.exif_transpose(whole).resize((224, 224), Image.Resampling.BILINEAR)
    difference = np.abs(picture.pixels.astype(int) - np.asarray(exact, int).reshape(224, 224, channels))
    assert difference.mean() < 0.3
    assert difference.max() <= 3
    assert (picture.width, picture.height, picture.mode) == (*ImageOps.exif_transpose(whole).size, mode)


def test_only_dicom_files_have_several_frames(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", Reading(8, 1), frame=0).width == 8
    with pytest.raises(UnreadableImageError, match="no frame 1"):
        read_image(tmp_path / "a.png", Reading(8, 1), frame=1)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.png", b"", "empty"),
        ("a.png", b"hello", "not a PNG"),
        ("a.dcm", b"hello", "not a readable DICOM"),
        ("a.jpg", None, "no such file"),
    ],
)
def test_what_is_no_image_has_a_reason(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImageError, match=reason) as error:
        read_image(tmp_path / name, Reading(8, 1))
    assert name not in str(error.value)


def test_a_truncated_file_is_refused(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImageError, match="truncated"):
        read_image(tmp_path / "a.jpg", Reading(8, 1))


def test_a_folder_and_a_huge_picture_are_refused(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        read_image(tmp_path / "folder.png", Reading(8, 1))
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    with pytest.raises(UnreadableImageError, match="limit"):
        read_image(tmp_path / "huge.png", Reading(8, 1))

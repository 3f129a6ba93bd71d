import numpy as np
import pytest
from PIL import Image

from kmedtl.data.pixels import UnreadableImageError
from kmedtl.data.read_image import read_image


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_lossless_formats_keep_their_pixels(tmp_path, suffix):
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    picture = read_image(tmp_path / f"a{suffix}", 8, 1)
    assert np.array_equal(picture.pixels[..., 0], pixels)
    assert (picture.width, picture.height) == (8, 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_uint8(tmp_path, mode, channels):
    image = Image.new("RGB", (20, 10), (200, 100, 50)).convert("L" if mode in ("I;16", "I", "F") else mode)
    if mode in ("I;16", "I", "F"):
        image = image.convert("I").convert(mode)
    image.save(tmp_path / "a.tif")
    pixels = read_image(tmp_path / "a.tif", 16, channels).pixels
    assert pixels.shape == (16, 16, channels)
    assert pixels.dtype == np.uint8


def test_sixteen_bits_keep_their_order(tmp_path):
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png", 16, 1).pixels[..., 0]
    assert np.array_equal(pixels, (values >> 8).astype(np.uint8))


def test_a_phone_picture_is_turned_upright(tmp_path):
    image = Image.new("L", (8, 8))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right
    image.save(tmp_path / "a.png", exif=exif)
    assert read_image(tmp_path / "a.png", 8, 1).pixels[0, 7, 0] == 255


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
        read_image(tmp_path / name, 8, 1)
    assert name not in str(error.value)


def test_a_truncated_file_is_refused(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImageError, match="truncated"):
        read_image(tmp_path / "a.jpg", 8, 1)


def test_a_folder_and_a_huge_picture_are_refused(tmp_path):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        read_image(tmp_path / "folder.png", 8, 1)
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    with pytest.raises(UnreadableImageError, match="limit"):
        read_image(tmp_path / "huge.png", 8, 1)


@pytest.mark.real_data
def test_real_dicom_files_decode_or_say_why(real_data):
    broken = {"MR_truncated.dcm", "badVR.dcm", "no_meta.dcm", "meta_missing_tsyntax.dcm"}
    for path in sorted((real_data / "dicom").iterdir()):
        try:
            pixels = read_image(path, 64, 3).pixels
        except UnreadableImageError:
            assert path.name in broken | {"JPEG-lossy.dcm"}, path.name
        else:
            assert pixels.std() > 0

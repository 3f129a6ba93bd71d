"""Files worked by hand: each pixel's shown value follows from the standard's formulas."""

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from kmedtl.data.pixels import UnreadableImageError
from kmedtl.data.read_image import read_image

RAMP = np.arange(0, 4096, 256, dtype=np.uint16).reshape(4, 4)


def write(path, pixels, photometric="MONOCHROME2", bits=12, **tags):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Rows, data.Columns = pixels.shape[-3:-1] if photometric == "RGB" else pixels.shape[-2:]
    data.PhotometricInterpretation = photometric
    data.SamplesPerPixel = 3 if photometric == "RGB" else 1
    if photometric == "RGB":
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored, data.HighBit = bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def shown(path, size=4):
    return read_image(path, size, 1).pixels[..., 0]


def test_without_a_window_the_values_fill_the_range(tmp_path):
    assert np.array_equal(shown(write(tmp_path / "a.dcm", RAMP)), np.round(RAMP / RAMP.max() * 255))


def test_monochrome1_is_inverted_exactly_once(tmp_path):
    twin = shown(write(tmp_path / "a.dcm", RAMP, WindowCenter=2048, WindowWidth=4096))
    inverted = shown(write(tmp_path / "b.dcm", RAMP, "MONOCHROME1", WindowCenter=2048, WindowWidth=4096))
    assert np.array_equal(inverted, 255 - twin)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_follow_the_standards_formulas(tmp_path, function):
    center, width = 1000.0, 800.0
    x = RAMP.astype(float)
    share = {
        "LINEAR": (x - (center - 0.5)) / (width - 1) + 0.5,
        "LINEAR_EXACT": (x - center) / width + 0.5,
        "SIGMOID": 1 / (1 + np.exp(-4 * (x - center) / width)),
    }[function]
    tags = {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function}
    assert np.array_equal(shown(write(tmp_path / "a.dcm", RAMP, **tags)), np.round(np.clip(share, 0, 1) * 255))


def test_the_first_of_several_windows_counts(tmp_path):
    several = shown(write(tmp_path / "a.dcm", RAMP, WindowCenter=[1000, 40], WindowWidth=[800, 80]))
    assert np.array_equal(several, shown(write(tmp_path / "b.dcm", RAMP, WindowCenter=1000, WindowWidth=800)))


def test_the_window_applies_to_rescaled_values(tmp_path):
    stored = (RAMP.astype(np.int32) // 2).astype(np.int16) - 1000
    tags = {"RescaleSlope": 2, "RescaleIntercept": 2000, "WindowCenter": 2048, "WindowWidth": 4096}
    plain = shown(write(tmp_path / "b.dcm", RAMP, WindowCenter=2048, WindowWidth=4096))
    assert np.array_equal(shown(write(tmp_path / "a.dcm", stored, bits=16, **tags)), plain)


def test_more_than_eight_bits_survive_a_narrow_window(tmp_path):
    pixels = np.arange(2000, 2256, dtype=np.uint16).reshape(16, 16)
    path = write(tmp_path / "a.dcm", pixels, WindowCenter=2128, WindowWidth=256)
    assert len(np.unique(shown(path, 16))) > 250


def test_padding_is_black_and_sets_no_range(tmp_path):
    pixels = RAMP.astype(np.int16)
    pixels[0, 0] = -2000
    path = write(tmp_path / "a.dcm", pixels, bits=16, PixelPaddingValue=-2000)
    result = shown(path)
    assert result[0, 0] == 0
    assert result[0, 1] == 0
    assert result[-1, -1] == 255
    assert result[2, 0] == round((2048 - 256) / (3840 - 256) * 255)


def test_monochrome1_padding_is_black_too(tmp_path):
    pixels = RAMP.copy()
    pixels[0, 0] = 4095
    path = write(tmp_path / "a.dcm", pixels, "MONOCHROME1", PixelPaddingValue=4095)
    assert shown(path)[0, 0] == 0
    assert shown(path)[0, 1] == 255


def test_the_middle_frame_is_read(tmp_path):
    frames = np.stack([np.full((4, 4), value, np.uint16) for value in (0, 1000, 2000)])
    frames[:, 0, 0] = 4000
    path = write(tmp_path / "a.dcm", frames, NumberOfFrames=3, WindowCenter=2000, WindowWidth=4001)
    assert shown(path)[3, 3] == round(1000 / 4000 * 255)


def test_colour_stays_colour(tmp_path):
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 0], pixels[..., 2] = 200, 50
    path = write(tmp_path / "a.dcm", pixels, "RGB", bits=8)
    assert np.array_equal(read_image(path, 4, 3).pixels, pixels)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [({"WindowCenter": 1, "WindowWidth": 0}, "width 0"), ({"Rows": 60000, "Columns": 60000}, "limit")],
)
def test_impossible_values_have_a_reason(tmp_path, tags, reason):
    path = write(tmp_path / "a.dcm", RAMP)
    data = pydicom.dcmread(path)
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path)
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(path, 4, 1)


@pytest.mark.real_data
def test_a_real_monochrome1_film_is_shown_inverted(real_data):
    path = real_data / "dicom" / "RG1_J2KI.dcm"
    stored = Image.fromarray(pydicom.dcmread(path).pixel_array.astype(np.float32)).resize((64, 64))
    agreement = np.corrcoef(read_image(path, 64, 1).pixels.ravel(), np.asarray(stored).ravel())[0, 1]
    assert agreement < -0.95

"""Files worked by hand: each pixel's shown value follows from the standard's formulas."""

import io

import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, pixel_array
from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_image import read_image
from kmedtl.images.reading import Reading, Window

RAMP = np.arange(0, 4096, 256, dtype=np.uint16).reshape(4, 4)


def write(path, pixels, photometric="MONOCHROME2", bits=12, **tags):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    colour = photometric.startswith(("RGB", "YBR"))
    data.Rows, data.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    data.PhotometricInterpretation = photometric
    data.SamplesPerPixel = 3 if colour else 1
    if colour:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored, data.HighBit = bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def put(path, **tags):
    """Set tags to any text, which pydicom itself would refuse; None removes one."""
    data = pydicom.dcmread(path)
    for name, value in tags.items():
        if value is None:
            del data[name]
        elif isinstance(value, str):
            tag = pydicom.tag.Tag(name)
            content = value.encode() + b" " * (len(value) % 2)
            data[tag] = RawDataElement(tag, dictionary_VR(name), len(content), content, 0, False, True)
        else:
            setattr(data, name, value)
    data.save_as(path)
    return path


def compress(path, syntax, *frames):
    """Put encoded frames in the place of a file's pixels."""
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate(list(frames))
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    return path


def shown(path, size=4, frame=None, **window):
    return read_image(path, Reading(size, 1, Window(**window)), frame).pixels[..., 0]


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
    assert shown(path, frame=2)[3, 3] == round(2000 / 4000 * 255)
    with pytest.raises(UnreadableImageError, match="no frame 3"):
        shown(path, frame=3)


def test_colour_stays_colour(tmp_path):
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 0], pixels[..., 2] = 200, 50
    path = write(tmp_path / "a.dcm", pixels, "RGB", bits=8)
    assert np.array_equal(read_image(path, Reading(4, 3)).pixels, pixels)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": 60000, "Columns": 60000}, "limit"),
        *(
            ({name: None}, f"no {name}")
            for name in ("Rows", "SamplesPerPixel", "BitsStored", "PhotometricInterpretation")
        ),
        *(({name: "high"}, f"{name} is no number") for name in ("WindowCenter", "RescaleSlope", "RescaleIntercept")),
        ({"WindowCenter": "nan", "WindowWidth": "1"}, "WindowCenter is no number"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "no PlanarConfiguration"),
        ({"ModalityLUTSequence": [pydicom.Dataset()]}, "LUTDescriptor or LUTData is missing"),
    ],
)
def test_impossible_values_have_a_reason(tmp_path, tags, reason):
    path = write(tmp_path / "a.dcm", RAMP)
    put(path, **tags)
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(path, Reading(4, 1))


def groups(**tags):
    """Return functional groups: a sequence's name → its one item's tags."""
    outer = pydicom.Dataset()
    for name, inner in tags.items():
        item = pydicom.Dataset()
        for tag, value in inner.items():
            setattr(item, tag, value)
        setattr(outer, name, [item])
    return outer


def test_a_window_narrower_than_one_is_exact(tmp_path):
    path = write(tmp_path / "a.dcm", RAMP, RescaleSlope="0.000244", RescaleIntercept=0, WindowCenter="0.457")
    put(path, WindowWidth="0.913")
    share = (RAMP * 0.000244 - 0.457) / 0.913 + 0.5
    wanted = np.round(np.clip(share, 0, 1) * 255)
    assert np.array_equal(shown(path), wanted)
    assert np.array_equal(shown(path, center=0.457, width=0.913), wanted)
    assert len(np.unique(shown(path, center=0.5, width=1.0))) == 16  # one unit wide, over fractions


@pytest.mark.parametrize("width", ["0", "-5", ""])
def test_a_window_of_no_width_is_none(tmp_path, width):
    path = put(write(tmp_path / "a.dcm", RAMP, WindowCenter=100), WindowWidth=width)
    assert np.array_equal(shown(path), shown(write(tmp_path / "b.dcm", RAMP)))


@pytest.mark.parametrize(("slope", "intercept"), [("", ""), ("1", ""), ("", "0"), (None, "0")])
def test_an_empty_rescale_is_the_identity(tmp_path, slope, intercept):
    path = write(tmp_path / "a.dcm", RAMP, RescaleSlope=1, RescaleIntercept=0, WindowCenter=1000, WindowWidth=800)
    wanted = shown(path)
    assert np.array_equal(shown(put(path, RescaleSlope=slope, RescaleIntercept=intercept)), wanted)


def test_decimal_commas_are_decimal_points(tmp_path):
    path = write(tmp_path / "a.dcm", RAMP, RescaleSlope=1, RescaleIntercept=0)
    put(path, RescaleSlope="0,5", RescaleIntercept="-10,5", WindowCenter="1000,5", WindowWidth="800,0")
    alone = write(tmp_path / "b.dcm", RAMP, RescaleSlope=0.5, RescaleIntercept=-10.5)
    assert np.array_equal(shown(path), shown(alone, center=1000.5, width=800))


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_modality_lut_of_any_depth_is_applied_before_the_window(tmp_path, bits):
    item = pydicom.Dataset()
    item.LUTDescriptor, item.LUTData = [16, 0, bits], (np.arange(16) ** 2).astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    stored = np.arange(16, dtype=np.uint16).reshape(4, 4)
    path = write(tmp_path / "a.dcm", stored, ModalityLUTSequence=[item])
    share = (np.arange(16.0).reshape(4, 4) ** 2 - 99.5) / 99 + 0.5
    assert np.array_equal(shown(path, center=100, width=100), np.round(np.clip(share, 0, 1) * 255))


@pytest.mark.parametrize("keyword", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_functional_groups_rescale_and_window_as_plain_tags_do(tmp_path, keyword):
    rescale, window = {"RescaleSlope": 2, "RescaleIntercept": -1000}, {"WindowCenter": 500, "WindowWidth": 900}
    frames = np.stack([RAMP, RAMP])
    group = groups(PixelValueTransformationSequence=rescale, FrameVOILUTSequence=window)
    other = groups(PixelValueTransformationSequence={"RescaleSlope": 1, "RescaleIntercept": 0})
    items = [group] if keyword.startswith("Shared") else [other, group]
    path = write(tmp_path / "a.dcm", frames, NumberOfFrames=2, **{keyword: items})
    alone = write(tmp_path / "b.dcm", RAMP, **rescale, **window)
    assert np.array_equal(shown(path, frame=1), shown(alone))
    assert np.array_equal(shown(path, frame=1, center=-600, width=1500), shown(alone, center=-600, width=1500))


def test_a_window_of_ones_own_is_linear_in_modality_units(tmp_path):
    stored = (RAMP // 2).astype(np.int16) - 1000
    tags = {"RescaleSlope": 2, "RescaleIntercept": 2000, "VOILUTFunction": "SIGMOID"}
    path = write(tmp_path / "a.dcm", stored, bits=16, WindowCenter=1, WindowWidth=2, **tags)
    share = (RAMP.astype(float) - (1000 - 0.5)) / (800 - 1) + 0.5
    assert np.array_equal(shown(path, center=1000, width=800), np.round(np.clip(share, 0, 1) * 255))


def test_a_window_is_found_by_its_name(tmp_path):
    names = {"WindowCenterWidthExplanation": ["MEDIASTINUM", "Lung"]}
    path = write(tmp_path / "a.dcm", RAMP, WindowCenter=[40, 1000], WindowWidth=[80, 800], **names)
    alone = write(tmp_path / "b.dcm", RAMP, WindowCenter=1000, WindowWidth=800)
    assert np.array_equal(shown(path, name="lung"), shown(alone))
    with pytest.raises(UnreadableImageError, match="no window of the name") as error:
        shown(path, name="bone")
    assert "Lung" not in str(error.value)


@pytest.mark.parametrize("slope", [None, 2])
def test_the_first_voi_lut_counts_more_than_windows(tmp_path, slope):
    item = pydicom.Dataset()
    item.LUTDescriptor, item.LUTData = [4, 256, 12], np.array([0, 1000, 3000, 4000], "<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    stored = RAMP if slope is None else RAMP // slope
    tags = {} if slope is None else {"RescaleSlope": slope, "RescaleIntercept": 0}
    path = write(tmp_path / "a.dcm", stored, WindowCenter=1, WindowWidth=2, VOILUTSequence=[item], **tags)
    places = np.clip(RAMP.astype(int) - 256, 0, 3)
    assert np.array_equal(shown(path), np.round(np.array([0, 1000, 3000, 4000])[places] / 4000 * 255))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.uint32])
def test_the_whole_range_of_a_type_is_shown(tmp_path, dtype):
    ends = np.iinfo(dtype)
    pixels = np.linspace(ends.min, ends.max, 16, dtype=np.float64).astype(dtype).reshape(4, 4)
    path = write(tmp_path / "a.dcm", pixels, bits=ends.bits)
    assert np.array_equal(shown(path), np.round(np.linspace(0, 1, 16) * 255).reshape(4, 4))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_big_endian_values_are_the_same(tmp_path, dtype):
    path = write(tmp_path / "a.dcm", RAMP.astype(dtype), bits=16)
    plain = shown(path)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    data.PixelData = RAMP.astype(dtype).byteswap().tobytes()
    pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=False)
    assert np.array_equal(shown(path), plain)


@pytest.mark.parametrize(("keyword", "dtype"), [("FloatPixelData", np.float32), ("DoubleFloatPixelData", np.float64)])
def test_float_pixels_fill_the_range(tmp_path, keyword, dtype):
    data = pydicom.dcmread(write(tmp_path / "a.dcm", RAMP))
    del data.PixelData, data.BitsStored, data.HighBit, data.PixelRepresentation
    data.BitsAllocated = 8 * np.dtype(dtype).itemsize
    setattr(data, keyword, (RAMP / 7 - 0.25).astype(dtype).tobytes())
    data.save_as(tmp_path / "a.dcm")
    assert np.array_equal(shown(tmp_path / "a.dcm"), np.round(RAMP / RAMP.max() * 255))
    assert read_image(tmp_path / "a.dcm", Reading(4, 1)).bits == data.BitsAllocated


def test_facts_of_the_file_come_along(tmp_path):
    picture = read_image(write(tmp_path / "a.dcm", RAMP, BurnedInAnnotation="YES"), Reading(2, 1))
    assert (picture.width, picture.height, picture.mode, picture.bits) == (4, 4, "MONOCHROME2", 12)
    assert picture.burned_in
    assert not read_image(write(tmp_path / "b.dcm", RAMP, BurnedInAnnotation="NO"), Reading(2, 1)).burned_in


SIGNED = (RAMP.astype(np.int16) - 2048).repeat(4, 0).repeat(4, 1)  # 16 × 16
GRAY = RAMP.repeat(4, 0).repeat(4, 1)
PHOTO = np.stack([GRAY // 16, 255 - GRAY // 16, GRAY // 32], -1).astype(np.uint8)


def lossless_jpeg(pixels, bits):
    colours = {"colorspace": "RGB", "outcolorspace": "RGB"} if pixels.ndim == 3 else {}
    return imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits, **colours)


def jpeg2000(pixels):
    return imagecodecs.jpeg2k_encode(pixels, codecformat="J2K", reversible=True)


@pytest.mark.parametrize(
    ("syntax", "pixels", "bits", "encode"),
    [
        (RLELossless, GRAY, 12, None),
        (RLELossless, SIGNED, 16, None),
        (RLELossless, PHOTO, 8, None),
        (JPEGLosslessSV1, GRAY, 12, lambda pixels: lossless_jpeg(pixels, 12)),
        (JPEGLosslessSV1, SIGNED, 16, lambda pixels: lossless_jpeg(pixels.view(np.uint16), 16)),
        (JPEGLosslessSV1, PHOTO, 8, lambda pixels: lossless_jpeg(pixels, 8)),
        (JPEGLSLossless, GRAY, 12, imagecodecs.jpegls_encode),
        (JPEGLSLossless, SIGNED, 16, lambda pixels: imagecodecs.jpegls_encode(pixels.view(np.uint16))),
        (JPEGLSLossless, PHOTO, 8, imagecodecs.jpegls_encode),
        (JPEG2000Lossless, GRAY, 12, jpeg2000),
        (JPEG2000Lossless, SIGNED, 16, jpeg2000),
        (JPEG2000, PHOTO, 8, jpeg2000),
    ],
)
def test_lossless_syntaxes_keep_every_value(tmp_path, syntax, pixels, bits, encode):
    """Two frames, of which the second is shown: as the same one uncompressed."""
    photometric = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    frames = np.stack([pixels[::-1], pixels])
    plain = write(tmp_path / "plain.dcm", frames, photometric, bits, NumberOfFrames=2)
    path = write(tmp_path / "a.dcm", frames, photometric, bits, NumberOfFrames=2)
    if encode:
        compress(path, syntax, *(encode(np.ascontiguousarray(one)) for one in frames))
    else:
        data = pydicom.dcmread(path)
        data.compress(syntax, generate_instance_uid=False)
        data.save_as(path)
    reading = Reading(16, 3)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(read_image(path, reading, 1).pixels, read_image(plain, reading, 1).pixels)
    assert not np.array_equal(read_image(path, reading, 0).pixels, read_image(plain, reading, 1).pixels)


def test_twelve_bit_jpeg_is_read(tmp_path):
    smooth = np.linspace(0, 4095, 256).astype(np.uint16).reshape(16, 16)
    path = write(tmp_path / "a.dcm", smooth, WindowCenter=2048, WindowWidth=4096)
    plain = shown(path, 16).astype(int)
    compress(path, JPEGExtended12Bit, imagecodecs.jpeg8_encode(smooth, 100, bitspersample=12))
    assert np.abs(shown(path, 16) - plain).max() <= 1


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("compressed", [False, True])
def test_ybr_becomes_rgb(tmp_path, photometric, compressed):
    image = Image.new("RGB", (16, 16), (200, 100, 50))
    ybr = np.asarray(image.convert("YCbCr"))
    path = write(tmp_path / "a.dcm", ybr, photometric, 8)
    if compressed:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=100, subsampling="4:2:2" if photometric == "YBR_FULL_422" else "4:4:4")
        compress(path, JPEGBaseline8Bit, buffer.getvalue())
    elif photometric == "YBR_FULL_422":
        data = pydicom.dcmread(path)
        pairs = [ybr[:, 0::2, :1], ybr[:, 1::2, :1], ybr[:, 0::2, 1:]]  # Y1 Y2 Cb Cr
        data.PixelData = np.concatenate(pairs, -1).tobytes()
        data.save_as(path)
    pixels = read_image(path, Reading(16, 3)).pixels.astype(int)
    assert np.abs(pixels - (200, 100, 50)).max() <= 3


def test_palettes_become_colours(tmp_path):
    pixels = np.arange(4, dtype=np.uint8).reshape(2, 2)
    levels = {"Red": [0, 255, 0, 128], "Green": [0, 0, 255, 64], "Blue": [10, 20, 30, 40]}
    tags = {f"{name}PaletteColorLookupTableDescriptor": [4, 0, 16] for name in levels}
    tags |= {
        f"{name}PaletteColorLookupTableData": (np.array(values, "<u2") * 257).tobytes()
        for name, values in levels.items()
    }
    path = write(tmp_path / "a.dcm", pixels, "PALETTE COLOR", 8, **tags)
    expected = np.stack(list(levels.values()), -1).reshape(2, 2, 3)
    assert np.array_equal(read_image(path, Reading(2, 3)).pixels, expected)


def test_the_deflated_syntax_is_read(tmp_path):
    path = write(tmp_path / "a.dcm", RAMP)
    plain = shown(path)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(path)
    assert np.array_equal(shown(path), plain)


@pytest.mark.parametrize("explicit", [True, False])
def test_a_file_without_preamble_and_transfer_syntax_is_taken_as_uncompressed(tmp_path, explicit):
    path = write(tmp_path / "a.dcm", RAMP)
    plain = shown(path)
    data = pydicom.dcmread(path)
    bare = pydicom.Dataset({element.tag: element for element in data})
    bare.save_as(tmp_path / "b.dcm", implicit_vr=not explicit, little_endian=True)
    assert np.array_equal(shown(tmp_path / "b.dcm"), plain)


@pytest.mark.parametrize(
    ("syntax", "frame", "reason"),
    [
        (ExplicitVRLittleEndian, None, "cut short"),
        (JPEGLosslessSV1, lossless_jpeg(GRAY, 12), "PixelData cannot be decoded as"),
        (JPEGLSLossless, imagecodecs.jpegls_encode(GRAY), "PixelData cannot be decoded as"),
        (JPEG2000Lossless, jpeg2000(GRAY), "PixelData cannot be decoded as"),
        ("1.2.840.10008.1.2.4.100", b"MPEG", "PixelData cannot be decoded as MPEG"),
    ],
)
def test_reasons_quote_nothing_of_the_file(tmp_path, syntax, frame, reason):
    path = write(tmp_path / "a.dcm", GRAY, PatientName="Doe^Jane", NumberOfFrames=1)
    if frame:
        compress(path, syntax, frame[: len(frame) // 2])
    else:
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UnreadableImageError, match=reason) as error:
        shown(path)
    assert "Doe" not in str(error.value)


def test_values_that_are_no_numbers_are_not_quoted(tmp_path):
    path = write(tmp_path / "a.dcm", RAMP, PatientName="Doe^Jane", NumberOfFrames=1)
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x001 ", b"IS\x02\x00Do"))
    with pytest.raises(UnreadableImageError, match="not a readable DICOM") as error:
        shown(path)
    assert "Do" not in str(error.value)


@pytest.mark.real_data
def test_a_real_monochrome1_film_is_shown_inverted(real_data):
    path = real_data / "dicom" / "RG1_J2KI.dcm"
    stored = Image.fromarray(pydicom.dcmread(path).pixel_array.astype(np.float32)).resize((64, 64))
    agreement = np.corrcoef(read_image(path, Reading(64, 1)).pixels.ravel(), np.asarray(stored).ravel())[0, 1]
    assert agreement < -0.95


BROKEN = {"MR_truncated.dcm", "badVR.dcm", "no_meta.dcm", "meta_missing_tsyntax.dcm"}


@pytest.mark.real_data
def test_real_files_decode_or_say_why(real_data):
    for path in sorted((real_data / "dicom").iterdir()):
        if path.name in BROKEN:
            with pytest.raises(UnreadableImageError, match="not a readable DICOM"):
                read_image(path, Reading(64, 3))
        else:
            assert read_image(path, Reading(64, 3)).pixels.std() > 0, path.name


@pytest.mark.real_data
def test_real_files_show_what_pydicoms_own_decoders_give(real_data):
    """Uncompressed, RLE and JPEG 2000 by pydicom or Pillow, JPEG-LS by the same image uncompressed."""
    own = {JPEG2000: "pillow", JPEG2000Lossless: "pillow", RLELossless: "pydicom"}
    twins = {"MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm", "emri_small_jpeg_ls_lossless.dcm": "emri_small.dcm"}
    compared = 0
    for path in sorted((real_data / "dicom").iterdir()):
        data = pydicom.dcmread(real_data / "dicom" / twins.get(path.name, path.name), force=True)
        syntax = data.file_meta.get("TransferSyntaxUID")
        gray = data.get("PhotometricInterpretation") == "MONOCHROME2" and "PixelPaddingValue" not in data
        if path.name in BROKEN or not gray or (syntax.is_encapsulated and syntax not in own):
            continue
        middle = int(data.get("NumberOfFrames") or 1) // 2
        stored = pixel_array(data, index=middle, decoding_plugin=own.get(syntax, ""))
        values = apply_modality_lut(stored, data).astype(np.float64)
        low, high = values.min(), values.max()
        window = Window(center=(low + high + 1) / 2, width=high - low + 1)
        expected = Image.fromarray(np.round((values - low) / (high - low) * 255).astype(np.uint8))
        pixels = read_image(path, Reading(64, 1, window)).pixels[..., 0]
        expected = np.asarray(expected.resize((64, 64), Image.Resampling.BILINEAR))
        assert np.abs(pixels.astype(int) - expected).max() <= 1, path.name
        compared += 1
    assert compared > 10

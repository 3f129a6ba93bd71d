"""Damaged and odd series and files: each is refused by name, or read as it should be. A row a case."""

import gzip
import struct

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from kmedtl.images.dicom_seg import SEGMENTATION
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_volume import read_volume
from tests.images.volume_files import (
    RAS,
    SECRETS,
    SHAPE,
    dicom_file,
    enhanced,
    nifti_bytes,
    nifti_image,
    save,
    save_all,
    save_bytes,
    series,
    stored_values,
    uid,
)

HOUNSFIELD = stored_values().astype(np.float32) - 1024


def changed(*indices, **tags):
    """A series in which some slices (all, where none is named) have other tags; None takes one away."""

    def make(folder):
        slices = series()
        for index in indices or range(len(slices)):
            for name, value in tags.items():
                if value is None:
                    delattr(slices[index], name)
                else:
                    setattr(slices[index], name, value)
        return save_all(slices, folder)

    return make


def placed(*places):
    """A series whose slices lie at these places along the normal, in mm."""

    def make(folder):
        slices = series()[: len(places)]
        for number, (data, place) in enumerate(zip(slices, places, strict=True)):
            data.ImagePositionPatient, data.InstanceNumber = [0, 0, place], number
        return save_all(slices, folder)

    return make


def tilted(folder):
    slices = series()
    for number, data in enumerate(slices):
        data.ImagePositionPatient = [0, 0.3 * number, 2.5 * number]
    return save_all(slices, folder)


def copied(folder):
    save_all(series(), folder)
    save(series()[2], folder / "copy.dcm")
    return folder


def all_copied(folder):
    save_all(series(), folder / "a")
    save_all(series(), folder / "b")
    return folder


def two_series(folder):
    save_all(series(), folder / "one")
    save_all(series(SeriesInstanceUID=uid(2, 1)), folder / "two")
    return folder


def coloured(folder):
    slices = series(PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0)
    return save_all(slices, folder)


def beside(name, content):
    def make(folder):
        save_all(series(), folder)
        (folder / name).write_bytes(content)
        return folder

    return make


def report_beside(folder):
    save_all(series(), folder)
    report = dicom_file("1.2.840.10008.5.1.4.1.1.88.11", SeriesInstanceUID=uid(2, 5))
    save(report, folder / "report.dcm")
    return folder


def with_text(name, text):
    """A series with a tag of text that pydicom itself would not write."""

    def make(folder):
        save_all(series(), folder)
        path = sorted(folder.iterdir())[3]
        content = path.read_bytes()
        old = struct.pack("<HH", *divmod(int(pydicom.datadict.tag_for_keyword(name)), 65536))
        start = content.index(old) + 8
        length = int.from_bytes(content[start - 2 : start], "little")
        path.write_bytes(content[:start] + text.encode().ljust(length)[:length] + content[start + length :])
        return folder

    return make


def one_file(data):
    return lambda folder: save(data, folder / "a.dcm")


def compressed(folder):
    slices = series()
    for data in slices:
        data.compress(RLELossless, generate_instance_uid=False)
    return save_all(slices, folder)


def unknown_syntax(folder):
    slices = series()
    for data in slices:
        data.compress(RLELossless, generate_instance_uid=False)
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
    return save_all(slices, folder)


def of_segments(folder):
    return save(dicom_file(SEGMENTATION, NumberOfFrames=2, Rows=4, Columns=4), folder / "seg.dcm")


def padded(folder):
    values = stored_values()
    values[:, 0, 0] = -2000
    return save_all(series(values=values, PixelPaddingValue=-2000), folder)


def without_number(folder):
    """As archives that call files by UIDs without a suffix, in folders of their own."""
    names = [f"{number % 3}/{uid(1, number)}" for number in range(SHAPE[0])]
    return save_all(series(), folder, names)


def nothing(folder):
    folder.mkdir()
    return folder


def a_film(folder):
    folder.mkdir()
    (folder / "film.png").write_bytes(b"\x89PNG")
    return folder


MISSING = r"missing slices: expected {} slices, 2\.5 mm apart\. Received: {}, with a gap after number {}"
EVERY = [2.5 * index for index in range(8)]
DICOM = {
    "a slice missing": (placed(*EVERY[:3], *EVERY[4:]), MISSING.format(8, 7, 3)),
    "slices missing in two places": (placed(*EVERY[:2], EVERY[3], *EVERY[6:]), MISSING.format(8, 5, "2, 3")),
    "unevenly spaced": (placed(0, 2.5, 5, 7.9, 10), r"unevenly spaced slices: expected .* Received: 2\.1 to 2\.9 mm"),
    "spacing that grows": (placed(0, 1, 2.1, 3.3, 4.6), "unevenly spaced slices"),
    "two slices at one place": (placed(0, 2.5, 5, 5, 7.5), "doubled slices: .* 1 of 4 places with up to 2"),
    "a file copied": (copied, "doubled slices: expected each slice once. Received: 1 copies"),
    "all files copied": (all_copied, "doubled slices: expected each slice once. Received: 8 copies"),
    "two time points": (placed(0, 0, 2.5, 2.5, 5, 5), "4-D: expected one slice .* 3 places with 2 slices each"),
    "all at one place": (changed(ImagePositionPatient=[0, 0, 0]), "doubled slices: .* 1 of 1 places with up to 8"),
    "mixed orientation": (changed(4, ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "mixed orientation"),
    "orientation that drifts": (
        changed(4, ImageOrientationPatient=[0.9998, 0.02, 0, -0.02, 0.9998, 0]),
        "mixed orient",
    ),
    "mixed size": (changed(4, Rows=5, Columns=6), "mixed size: .* Received: 7 of 6 × 5, 1 of 5 × 6"),
    "mixed pixel spacing": (changed(4, PixelSpacing=[0.8, 0.71]), "mixed pixel spacing: .* differences of 0.01"),
    "mixed modality": (changed(4, Modality="MR"), "several modalities"),
    "two frames of reference": (
        changed(4, FrameOfReferenceUID=uid(4, 9)),
        "several frames of reference: .* 2, of 7, 1",
    ),
    "two series in a folder": (two_series, "several series: expected one DICOM series .* 2, of 8, 8 files"),
    "localizers": (changed(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "slice 1 of 8: a localizer"),
    "a localizer among them": (changed(0, ImageType=["DERIVED", "PRIMARY", "LOCALIZER"]), "of 8: a localizer"),
    "gantry tilt": (tilted, r"gantry tilt: .* shifted by 2\.1 mm across it, 6\.8°"),
    "no position": (changed(3, ImagePositionPatient=None), "ImagePositionPatient: expected 3 numbers. Received: 0"),
    "no orientation": (changed(ImageOrientationPatient=None), "ImageOrientationPatient: expected 6 numbers"),
    "spacing at the detector alone": (
        changed(PixelSpacing=None, ImagerPixelSpacing=[1, 1]),
        "PixelSpacing: expected 2",
    ),
    "no distance between pixels": (changed(PixelSpacing=[0, 0.7]), "PixelSpacing: expected more than 0 mm"),
    "directions that are none": (changed(ImageOrientationPatient=[2, 0, 0, 0, 2, 0]), "directions of length 1"),
    "rows and columns askew": (changed(ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0]), r"at right angles.* 53\.13°"),
    "a position of text": (with_text("ImagePositionPatient", "DOE\\0\\0"), "ImagePositionPatient is no number"),
    "colour": (coloured, "colour: expected MONOCHROME2"),
    "a palette": (changed(PhotometricInterpretation="PALETTE COLOR"), "colour: expected MONOCHROME2"),
    "inverted gray": (changed(PhotometricInterpretation="MONOCHROME1"), "inverted gray: .* MONOCHROME1"),
    "a single slice in a folder": (placed(0), "a single slice: expected at least 2"),
    "a single file": (one_file(series()[0]), "frames without positions: .* 1 frame, .* folder of a series"),
    "CT without its scale": (changed(RescaleIntercept=None), "CT without a scale"),
    "CT in another unit": (changed(RescaleType="Z_EFF"), "CT in another unit"),
    "pixels cut short": (changed(5, PixelData=b"\0" * 40), "slice . of 8: .* PixelData is cut short"),
    "pixels of an unknown kind": (unknown_syntax, "PixelData cannot be decoded as MPEG"),
    "too many pixels": (changed(Rows=60000, Columns=60000), "too many voxels: .* 8 × 60000 × 60000"),
    "padding alone": (changed(PixelPaddingValue=-32768, PixelPaddingRangeLimit=32767), "values: .* padding alone"),
    "a damaged file among them": (beside("x.dcm", b"\0" * 128 + b"DICMDOE^JANE"), "damaged slices: .* 1 of 9 files"),
    "an empty file among them": (beside("x.dcm", b""), "damaged slices"),
    "several frames in each": (changed(NumberOfFrames=2), "several frames in a file of a series: expected 1"),
    "a segmentation": (of_segments, "a DICOM Segmentation: .* NIfTI"),
    "frames without positions": (one_file(enhanced(with_positions=False)), "frames without positions: .* 8 frames"),
    "a frame missing": (one_file(enhanced([0, 1, 3, 4, 5, 6, 7])), MISSING.format(8, 7, 2)),
    "frames of two time points": (one_file(enhanced([*range(8), *range(8)])), "4-D: .* 8 places with 2 slices each"),
    "a frame twice": (one_file(enhanced([*range(8), 3])), "doubled slices: .* 1 of 8 places"),
    "frames unevenly spaced": (one_file(enhanced(shift=0.9)), "unevenly spaced slices"),
    "an empty folder": (nothing, "no series: .* none in 0 files"),
    "a folder of films": (a_film, "no series: .* none in 1 files"),
    "nothing at the path": (lambda folder: folder, "a path with nothing at it"),
    # Read, in the order along the normal:
    "names and numbers in another order": (changed(InstanceNumber=1, SliceThickness=99), HOUNSFIELD),
    "no suffixes, folders in folders": (without_number, HOUNSFIELD),
    "a text beside the slices": (beside("README", b"DOE^JANE"), HOUNSFIELD),
    "a report beside the slices": (report_beside, HOUNSFIELD),
    "compressed slices": (compressed, HOUNSFIELD),
    "positions rounded to 0.01 mm": (placed(*(round(2.5 * i + 0.004 * (-1) ** i, 2) for i in range(8))), HOUNSFIELD),
    "an enhanced file": (one_file(enhanced()), HOUNSFIELD),
    "frames in another order": (one_file(enhanced([3, 1, 7, 0, 2, 6, 5, 4])), HOUNSFIELD),
    "an enhanced file in a folder": (lambda folder: one_file(enhanced())(folder).parent, HOUNSFIELD),
}


def nifti(suffix=".nii", image=None, fields=None, at=None, cut=None, more=b""):
    """A NIfTI file, changed: header fields, bytes, what is cut off (from a place on) or added."""

    def make(folder):
        content = nifti_bytes(image, fields, at)[:cut] + more
        return save_bytes(content, folder / f"v{suffix}")

    return make


def of_bytes(name, content):
    return lambda folder: save_bytes(content, folder / name.removesuffix(".gz")).rename(folder / name)


def numbers(dtype, affine=RAS):
    values = stored_values().transpose(2, 1, 0).astype(dtype)
    return nifti_image(values, affine, kind=nib.Nifti1Image)


def floats(*odd):
    values = stored_values().transpose(2, 1, 0).astype(np.float32)
    values.flat[: len(odd)] = odd
    return nifti_image(values)


def shape_of(*sides):
    return nifti_image(np.zeros(sides, np.int16))


def sform(x, code=1, **fields):
    """Fields that put another first row into the sform of `RAS`; the qform stays."""
    return {"srow_x": x, "sform_code": code, **fields}


PACKED = gzip.compress(nifti_bytes())
STORED = stored_values().astype(np.float32)[:, ::-1, ::-1]  # to the back and to the left
NIFTI = {
    "four axes": (nifti(image=shape_of(5, 6, 8, 3)), "4-D: .* Received: 5 × 6 × 8 × 3"),
    "vectors": (nifti(image=shape_of(5, 6, 8, 1, 3)), "4-D: .* Received: 5 × 6 × 8 × 1 × 3"),
    "two axes": (nifti(image=shape_of(5, 6)), "2-D: .* Received: 5 × 6"),
    "one slice": (nifti(image=shape_of(5, 6, 1)), "2-D: .* Received: 5 × 6 × 1"),
    "no axes": (nifti(fields={"dim": [0] * 8}), "the header's dimensions"),
    "an axis of no voxels": (nifti(fields={"dim": [3, 5, 0, 8, 1, 1, 1, 1]}), r"the header's dimensions.*\[5, 0, 8\]"),
    "a negative axis": (nifti(fields={"dim": [3, 5, -6, 8, 1, 1, 1, 1]}), "the header's dimensions"),
    "complex numbers": (nifti(image=numbers(np.complex64)), "its kind of number: .* complex64"),
    "colours": (nifti(fields={"datatype": 128, "bitpix": 24}), "its kind of number: .* colours"),
    "an unknown kind of number": (nifti(fields={"datatype": 77}), "its kind of number: .* unknown code"),
    "bits that contradict it": (nifti(fields={"bitpix": 32}), "bitpix: expected 16, of int16. Received: 32"),
    "NaN": (nifti(image=floats(np.nan, np.nan)), "values: .* NaN or infinity in 2 of 240 voxels"),
    "infinity": (nifti(image=floats(np.inf)), "values: .* in 1 of 240 voxels"),
    "numbers too large": (nifti(image=numbers(np.float64), fields={"scl_slope": 3e38}), "values: .* NaN or infinity"),
    "a slope of infinity": (nifti(fields={"scl_slope": np.inf, "scl_inter": 0}), "scl_slope and scl_inter"),
    "an intercept of NaN": (nifti(fields={"scl_slope": 2, "scl_inter": np.nan}), "scl_slope and scl_inter"),
    "no spacing": (nifti(fields={"pixdim": [1, 0.7, 0.8, 0, 1, 1, 1, 1]}), r"spacing \(pixdim\): .* 0 mm"),
    "a negative spacing": (nifti(fields={"pixdim": [1, -0.7, 0.8, 2.5, 1, 1, 1, 1]}), r"spacing \(pixdim\)"),
    "a spacing of NaN": (nifti(fields={"pixdim": [1, 0.7, 0.8, np.nan, 1, 1, 1, 1]}), r"spacing \(pixdim\)"),
    "a spacing that contradicts": (nifti(fields={"pixdim": [1, 0.7, 0.8, 5, 1, 1, 1, 1]}), "pixdim as its affine says"),
    "lengths in µm": (nifti(fields={"xyzt_units": 3}), "the unit of lengths: expected mm. Received: µm"),
    "no affine": (nifti(image=nifti_image(codes=(0, 0))), "orientation: .* neither"),
    "an affine of NaN": (nifti(fields={"srow_x": [np.nan, 0, 0, 0]}), "orientation: expected an affine of finite"),
    "a step of length 0": (nifti(fields={"srow_x": [0, 0, 0, 0]}), "spacing: expected more than 0 mm"),
    "shear": (nifti(fields=sform([0.7, 0, 0.5, -10], qform_code=0)), "shear: expected axes at right angles"),
    "left and right contradicted": (nifti(fields=sform([-0.7, 0, 0, -10])), "orientation: .* LAS and RAS"),
    "places contradicted": (nifti(fields=sform([0.7, 0, 0, -7])), "position: .* voxels 3 mm apart"),
    "a handedness that is none": (nifti(fields={"pixdim": [3, 0.7, 0.8, 2.5, 1, 1, 1, 1]}), "the qform: expected"),
    "a quaternion that is none": (nifti(fields={"quatern_b": 3}), "the qform: expected a rotation"),
    "cut short": (nifti(cut=-100), "a damaged NIfTI file: expected 480 bytes of voxels. Received: 380"),
    "a header alone": (nifti(cut=352), "480 bytes of voxels. Received: 0"),
    "half a header": (nifti(cut=200), "not a NIfTI file"),
    "gzip cut short": (of_bytes("v.nii.gz", PACKED[:-60]), "a whole gzip file"),
    "gzip with a wrong checksum": (of_bytes("v.nii.gz", PACKED[:-8] + b"\0" * 8), "a whole gzip file"),
    "no gzip, whatever its name says": (of_bytes("v.nii.gz", b"DOE^JANE" * 200), "not a NIfTI file"),
    "more slices than declared": (nifti(more=b"\0" * 60), "8 slices, as its header says. Received: more"),
    "fewer declared than there are": (nifti(fields={"dim": [3, 5, 6, 4, 1, 1, 1, 1]}), "4 slices, as its header says"),
    "a bomb by its dimensions": (nifti(fields={"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}), "too many voxels"),
    "a bomb by its numbers": (
        nifti(fields={"dim": [3, 600, 600, 600, 1, 1, 1, 1], "datatype": 64, "bitpix": 64}),
        "size: expected at most 1073741824 bytes",
    ),
    "a bomb by its content": (nifti(".nii.gz", more=b"\0" * 50_000_000), "8 slices, as its header says"),
    "voxels within the header": (nifti(fields={"vox_offset": 0}), "vox_offset: expected 352"),
    "voxels far away": (nifti(fields={"vox_offset": 1e9}), "vox_offset: expected 352"),
    "one of a pair": (nifti(fields={"magic": b"ni1"}), "a pair of files"),
    "Analyze": (nifti(fields={"magic": b""}), "not a NIfTI file: .* Analyze"),
    "an empty file": (nifti(cut=0), "the file is empty"),
    "another format": (of_bytes("v.nrrd", b"NRRD0004"), r"not a volume: expected NIfTI .* another file, \.nrrd"),
    # Read:
    "as it is": (nifti(), STORED),
    "packed": (nifti(".nii.gz"), STORED),
    "packed, and called otherwise": (of_bytes("v.NII", PACKED), STORED),
    "a slope": (nifti(fields={"scl_slope": 0.5, "scl_inter": -3}), STORED * 0.5 - 3),
    "a slope of 0": (nifti(fields={"scl_slope": 0, "scl_inter": -3}), STORED),
    "uint8": (nifti(image=numbers(np.uint8)), (STORED.astype(int) % 256)),
    "float64": (nifti(image=numbers(np.float64)), STORED),
    "a fourth axis of 1": (nifti(image=nifti_image(stored_values().transpose(2, 1, 0)[..., None])), STORED),
    "NIfTI-2": (nifti(image=nifti_image(kind=nib.Nifti2Image)), STORED),
    "a handedness of 0": (nifti(fields={"pixdim": [0, 0.7, 0.8, 2.5, 1, 1, 1, 1], "sform_code": 0}), STORED),
    "a qform alone": (nifti(image=nifti_image(codes=(1, 0))), STORED),
    "an sform of another world": (nifti(fields=sform([0.7, 0, 0, -7], code=4)), STORED),
    "a few bytes more": (nifti(more=b"\0" * 20), STORED),
    "columns to the left": (
        nifti(image=nifti_image(affine=RAS @ np.diag([-1, 1, 1, 1]))), STORED[..., ::-1]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", [*DICOM, *NIFTI])
def test_what_is_odd_is_refused_by_name_or_read_as_it_should_be(tmp_path, case):
    make, expected = (DICOM | NIFTI)[case]
    path = make(tmp_path / "volume")
    if isinstance(expected, str):
        with pytest.raises(UnreadableImageError, match=expected) as error:
            read_volume(path)
        told = str(error.value)
        assert "\n" not in told
        assert not [secret for secret in SECRETS if secret in told]
    else:
        volume = read_volume(path)
        assert np.array_equal(volume.values, expected)
        assert volume.orientation == "SPL"
        assert volume.values.dtype == np.float32


def test_there_are_more_than_forty_of_them():
    refused = [case for case, (_, expected) in (DICOM | NIFTI).items() if isinstance(expected, str)]
    assert len(refused) >= 90
    assert not set(DICOM) & set(NIFTI)


def test_padding_becomes_the_smallest_value_of_what_was_imaged(tmp_path):
    values = read_volume(padded(tmp_path / "ct")).values
    imaged = stored_values().astype(np.float32) - 1024
    inside = np.ones(SHAPE, bool)
    inside[:, 0, 0] = False
    assert np.array_equal(values[inside], imaged[inside])
    assert (values[:, 0, 0] == imaged[inside].min()).all()


def test_each_slice_has_a_scale_of_its_own(tmp_path):
    """As PET has."""
    slices = series(Modality="PT")
    for number, data in enumerate(slices):
        data.RescaleSlope, data.RescaleIntercept = number + 1, 0
    volume = read_volume(save_all(slices, tmp_path / "pet"))
    assert np.array_equal(volume.values, stored_values() * np.arange(1.0, 9)[:, None, None])
    assert volume.modality == "PT"


def test_big_endian_nifti_is_the_same(tmp_path):
    path = tmp_path / "v.nii"
    image = nifti_image()
    nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header.as_byteswapped(">")).to_filename(path)
    assert path.read_bytes()[:4] == b"\0\0\1\x5c"
    assert np.array_equal(read_volume(path).values, STORED)


def harmed(content, random):
    """Cut a file short, or change a few of its bytes, of its header above all."""
    if random.random() < 0.25:
        return content[: random.integers(len(content))]
    changed = bytearray(content)
    for place in random.integers(len(content) if random.random() < 0.2 else min(352, len(content)), size=4):
        changed[place] = random.integers(256)
    return bytes(changed)


@pytest.mark.filterwarnings("error")  # they quote what a file holds
@pytest.mark.parametrize("kind", ["v.nii", "v.nii.gz", "packed", "frames", "slices"])
def test_a_damaged_file_is_read_or_refused_and_never_quoted(tmp_path, kind):
    random = np.random.default_rng(5)
    folder = save_all(series(), tmp_path / "ct")
    whole = {
        "v.nii": nifti_bytes(),
        "v.nii.gz": gzip.compress(nifti_bytes()),
        "packed": nifti_bytes(),
        "frames": save(enhanced(), tmp_path / "e.dcm").read_bytes(),
        "slices": (folder / "003.dcm").read_bytes(),
    }[kind]
    names = {"packed": "p.nii.gz", "frames": "e.dcm", "slices": "ct/003.dcm"}
    path, told = tmp_path / names.get(kind, kind), []
    for _ in range(60):
        content = harmed(whole, random)
        path.write_bytes(gzip.compress(content) if kind == "packed" else content)
        try:
            read_volume(folder if kind == "slices" else path)
        except UnreadableImageError as error:
            told.append(str(error))
    assert len(told) > 10
    assert not [secret for secret in SECRETS if secret in " ".join(told)]

"""Volumes worked by hand: where each voxel lies, what it holds, how it is seen, and the way back into a file."""

import subprocess
import sys

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest

from kmedtl.errors import UserError
from kmedtl.images.dicom_series import read_series
from kmedtl.images.dicom_tree import series_in
from kmedtl.images.nifti_write import write_nifti
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.read_volume import read_mask_volume, read_volume
from kmedtl.images.volume import DIRECTIONS, arranged
from kmedtl.images.volume_window import HounsfieldWindow, PercentileWindow, levels
from tests.images.volume_files import (
    AXIAL,
    CORONAL,
    RAS,
    SAGITTAL,
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

TURNED = np.radians(20)
OBLIQUE = (np.cos(TURNED), np.sin(TURNED), 0, 0, 0, -1)
UPSIDE_DOWN = (-1, 0, 0, 0, -1, 0)  # prone
TRANSPOSED = (0, 1, 0, 1, 0, 0)


def same_voxels(volume, other):
    """Tell whether two volumes hold the same value at each place of the world, whatever the order of their axes."""
    grids = []
    for one in (volume, other):
        places = np.indices(one.values.shape).reshape(3, -1)
        world = np.round(one.affine @ np.vstack([places, np.ones(places.shape[1])]), 3)[:3] + 0.0
        grids.append({tuple(place): value for place, value in zip(world.T, one.values.ravel(), strict=True)})
    return grids[0] == grids[1]


@pytest.mark.parametrize(
    ("orientation", "plane", "letters"),
    [
        (AXIAL, "axial", "SPL"),
        (CORONAL, "coronal", "PIL"),
        (SAGITTAL, "sagittal", "RIP"),
        (OBLIQUE, "coronal", "PIL"),
        (UPSIDE_DOWN, "axial", "SPL"),
        (TRANSPOSED, "axial", "SPL"),
    ],
)
def test_each_voxel_lies_where_the_tags_say(tmp_path, orientation, plane, letters):
    """PS3.3 C.7.6.2.1.1: position + row · down_column · row_spacing + column · along_row · column_spacing."""
    slices = series(orientation)
    volume = read_volume(save_all(slices, tmp_path / "ct"))
    assert (volume.plane, volume.orientation, volume.kind, volume.modality) == (plane, letters, "dicom_series", "CT")
    assert letters == DIRECTIONS[plane]
    back = np.linalg.inv(volume.affine)
    for data, pixels in zip(slices, stored_values(), strict=True):
        for row, column in ((0, 0), (5, 0), (0, 4), (3, 2)):
            place = np.array(data.ImagePositionPatient, float)
            place = place + row * 0.8 * np.array(orientation[3:]) + column * 0.7 * np.array(orientation[:3])
            index = back @ [-place[0], -place[1], place[2], 1]
            assert np.allclose(index, np.round(index), atol=1e-6)
            assert volume.values[tuple(np.round(index[:3]).astype(int))] == pixels[row, column] - 1024


def test_an_axial_series_keeps_its_rows_and_columns(tmp_path):
    volume = read_volume(save_all(series(), tmp_path / "ct"))
    assert np.array_equal(volume.values, stored_values() - 1024.0)
    assert np.allclose(volume.spacing, (2.5, 0.8, 0.7), rtol=0, atol=1e-12)
    assert volume.position == (10, 20, 30)
    expected = [[0, 0, -0.7, 10], [0, -0.8, 0, 20], [2.5, 0, 0, 30], [0, 0, 0, 1]]
    assert np.allclose(volume.affine, expected, rtol=0, atol=1e-12)


def test_highdicom_reads_the_same(tmp_path):
    """It sorts against the normal, since its axes count as right-handed in the order of slices, rows, columns."""
    for orientation in (AXIAL, CORONAL, SAGITTAL, OBLIQUE):
        slices = series(orientation)
        theirs = hd.get_volume_from_series(slices, atol=0.01).flip_spatial(0)
        ours = read_volume(save_all(slices, tmp_path / str(orientation)))
        assert np.array_equal(ours.values, theirs.array)
        assert np.allclose(np.diag([-1, -1, 1, 1]) @ ours.affine, theirs.affine, rtol=0, atol=1e-9)


def test_an_enhanced_file_is_the_same_as_its_series(tmp_path):
    ours = read_volume(save(enhanced([3, 1, 7, 0, 2, 6, 5, 4]), tmp_path / "a.dcm"))
    other = read_volume(save_all(series(), tmp_path / "ct"))
    assert ours.kind == "dicom_frames"
    assert np.array_equal(ours.values, other.values)
    assert np.allclose(ours.affine, other.affine, rtol=0, atol=1e-12)


@pytest.mark.parametrize("letters", ["RAS", "LPS", "SPL", "AIR", "PRS"])
def test_nifti_of_any_order_of_axes_is_the_same_volume(tmp_path, letters):
    """As nibabel's canonical reading puts it, whose axes lead to the right, the front and the head."""
    start = nifti_image()
    way = nib.orientations.ornt_transform(nib.io_orientation(start.affine), nib.orientations.axcodes2ornt(letters))
    turned = start.as_reoriented(way)
    image = nifti_image(np.ascontiguousarray(turned.dataobj), turned.affine)
    volume = read_volume(save_bytes(nifti_bytes(image), tmp_path / "v.nii"))
    canonical = nib.as_closest_canonical(nib.load(tmp_path / "v.nii"))
    assert nib.aff2axcodes(image.affine) == tuple(letters)
    assert np.array_equal(volume.values, np.asarray(canonical.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1])
    assert np.allclose(volume.affine @ [0, 5, 4, 1], canonical.affine[:, 3], atol=1e-5)
    assert (volume.plane, volume.orientation, volume.modality, volume.kind) == ("axial", "SPL", "", "nifti")


@pytest.mark.parametrize(
    ("spacing", "plane", "letters"),
    [
        ((1, 1, 1), "axial", "SPL"),
        ((1, 1, 1.05), "axial", "SPL"),
        ((1.05, 1, 1), "axial", "SPL"),
        ((5, 1, 1), "sagittal", "RIP"),
        ((1, 5, 1), "coronal", "PIL"),
        ((1, 1, 0.5), "axial", "SPL"),
    ],
)
def test_nifti_is_sliced_along_its_thickest_side_else_axially(tmp_path, spacing, plane, letters):
    image = nifti_image(affine=np.diag([*spacing, 1.0]))
    path = save_bytes(nifti_bytes(image), tmp_path / "v.nii.gz")
    volume = read_volume(path)
    assert (volume.plane, volume.orientation) == (plane, letters)
    asked = read_volume(path, "coronal")
    assert (asked.plane, asked.orientation) == ("coronal", "PIL")
    assert same_voxels(volume, asked)


def test_a_series_and_its_nifti_are_one_volume(tmp_path):
    """Written by hand as converters do: columns, rows and slices, in the world of NIfTI."""
    ct = read_volume(save_all(series(), tmp_path / "ct"))
    affine = np.array([[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]])
    image = nifti_image((stored_values() - np.int16(1024)).transpose(2, 1, 0), affine)
    other = read_volume(save_bytes(nifti_bytes(image), tmp_path / "v.nii.gz"))
    assert np.array_equal(ct.values, other.values)
    assert np.allclose(ct.affine, other.affine, atol=1e-6)


SOURCES = {
    "as it is": lambda: nifti_image(),
    "to the left": lambda: nifti_image(affine=RAS @ np.diag([-1, 1, 1, 1])),
    "sagittal": lambda: nifti_image(affine=np.diag([5.0, 1, 1, 1])),
    "axes in another order": lambda: nifti_image(affine=RAS[:, [2, 0, 1, 3]]),
    "a qform alone": lambda: nifti_image(affine=_turned(), codes=(1, 0)),
    "an sform of an atlas": lambda: nifti_image(affine=_turned(), codes=(0, 4)),
    "NIfTI-2": lambda: nifti_image(affine=_turned(), kind=nib.Nifti2Image),
}


def _turned():
    """RAS turned by 20° about the body."""
    c, s = np.cos(TURNED), np.sin(TURNED)
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ RAS


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_labels_go_back_into_the_files_own_order(tmp_path, source, suffix):
    image = SOURCES[source]()
    path = save_bytes(nifti_bytes(image), tmp_path / "v.nii")
    volume = read_volume(path)
    write_nifti(volume.values.astype(np.int64), volume, tmp_path / f"labels{suffix}")
    written, original = nib.load(tmp_path / f"labels{suffix}"), nib.load(path)
    assert type(written) is type(original)
    assert np.array_equal(np.asarray(written.dataobj), np.asarray(original.dataobj))
    assert written.get_data_dtype() == np.uint8
    assert np.array_equal(written.affine, original.affine)
    for name in ("qform_code", "sform_code", "pixdim", "srow_x", "quatern_b", "qoffset_y", "xyzt_units"):
        assert np.array_equal(written.header[name], original.header[name])
    assert b"DOE" not in written.header.binaryblock
    assert np.array_equal(read_mask_volume(tmp_path / f"labels{suffix}", volume), volume.values)


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, OBLIQUE, UPSIDE_DOWN])
def test_labels_of_a_dicom_volume_become_nifti(tmp_path, orientation):
    volume = read_volume(save_all(series(orientation), tmp_path / "ct"))
    labels = (volume.values > -900).astype(np.uint8)
    labels[0, 0, 0] = 3
    write_nifti(labels, volume, tmp_path / "labels.nii.gz")
    assert nib.load(tmp_path / "labels.nii.gz").shape == SHAPE[::-1]
    assert np.array_equal(read_mask_volume(tmp_path / "labels.nii.gz", volume), labels)
    assert b"labels" not in (tmp_path / "labels.nii.gz").read_bytes()[:64]


@pytest.mark.parametrize(
    ("labels", "name", "told"),
    [
        (np.zeros((2, 2, 2), np.uint8), "a.nii", r"the labels' shape: expected \(8, 6, 5\)"),
        (np.zeros(SHAPE, np.float32), "a.nii", "labels: expected whole numbers"),
        (np.full(SHAPE, 2**40), "a.nii", "labels: expected numbers of 32 bits"),
        (np.zeros(SHAPE, np.uint8), "a.png", "the file to write: expected .nii or .nii.gz"),
        (np.zeros(SHAPE, np.uint8), "nowhere/a.nii", "the file to write: expected a place"),
    ],
)
def test_what_cannot_be_written_is_told(tmp_path, labels, name, told):
    volume = read_volume(save_bytes(nifti_bytes(), tmp_path / "v.nii"))
    with pytest.raises(UserError, match=told):
        write_nifti(labels, volume, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["v.nii"]


MOVED = np.array([[1, 0, 0, 0.1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def mask(values=None, affine=RAS):
    values = np.zeros(SHAPE[::-1], np.uint8) if values is None else values
    return nifti_bytes(nifti_image(values, affine))


def test_a_mask_of_another_order_of_axes_is_on_the_images_voxels(tmp_path):
    volume = read_volume(save_bytes(nifti_bytes(), tmp_path / "v.nii"))
    labels = np.random.default_rng(2).integers(0, 3, SHAPE[::-1]).astype(np.float32)
    straight = save_bytes(mask(labels), tmp_path / "m.nii")
    turned = RAS @ np.array([[0, 0, 1, 0], [0, -1, 0, 5], [1, 0, 0, 0], [0, 0, 0, 1]])
    other = save_bytes(mask(labels[:, ::-1].transpose(2, 1, 0), turned), tmp_path / "n.nii.gz")
    expected = labels.transpose(2, 1, 0)[:, ::-1, ::-1]
    assert np.array_equal(read_mask_volume(straight, volume), expected)
    assert np.array_equal(read_mask_volume(other, volume), expected)
    assert read_mask_volume(other, volume).dtype == np.int32


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (mask(np.zeros((5, 6, 7), np.uint8)), "another size: expected the image's 8 × 6 × 5. Received: 7 × 6 × 5"),
        (mask(affine=MOVED @ RAS), r"another place: .* within 0\.07 mm.* 0\.1 mm"),
        (mask(affine=RAS @ np.diag([1, 1, 1.2, 1])), r"another place: .* spacing 3 × 0\.8 × 0\.7 mm, the image's 2\.5"),
        (mask(affine=RAS @ np.diag([-1, 1, 1, 1])), "another place"),
        (mask(np.full((5, 6, 8), 0.5, np.float32)), "a mask's values: .* fractions among them"),
        (mask(np.full((5, 6, 8), -1, np.int16)), "a mask's values: .* -1 to -1"),
        (mask(np.full((5, 6, 8), 70000, np.int32)), "a mask's values: .* 70000 to 70000"),
    ],
)  # fmt: skip
def test_a_mask_that_does_not_fit_is_refused(tmp_path, content, told):
    volume = read_volume(save_bytes(nifti_bytes(), tmp_path / "v.nii"))
    with pytest.raises(UnreadableImageError, match=told):
        read_mask_volume(save_bytes(content, tmp_path / "m.nii"), volume)


def test_hounsfield_windows_are_the_standards(tmp_path):
    volume = read_volume(save_all(series(), tmp_path / "ct"))
    shown = levels(volume, HounsfieldWindow(-900, 100))
    share = (volume.values.astype(float) - (-900 - 0.5)) / 99 + 0.5
    assert shown.dtype == np.uint8
    assert np.array_equal(shown, np.round(np.clip(share, 0, 1) * 255))


def test_percentiles_are_of_what_is_above_the_background(tmp_path):
    values = np.zeros(SHAPE, np.int16)
    values[2:6] = np.arange(1, 121).reshape(4, 6, 5)
    volume = read_volume(save_all(series(values=values, Modality="MR"), tmp_path / "mr"))
    shown = levels(volume, PercentileWindow(10, 90))
    inside = np.arange(1, 121) - 1024
    low, high = np.percentile(inside, (10, 90))
    share = (volume.values.astype(float) - low) / (high - low)
    assert np.array_equal(shown, np.round(np.clip(share, 0, 1) * 255))
    assert not shown[:2].any()
    brighter = arranged_again(volume, volume.values * 7 + 100)
    assert np.abs(levels(brighter, PercentileWindow(10, 90)).astype(int) - shown).max() <= 1


def arranged_again(volume, values):
    from dataclasses import replace

    return replace(volume, values=values.astype(np.float32))


def test_a_volume_of_one_value_is_black(tmp_path):
    volume = read_volume(save_bytes(nifti_bytes(nifti_image(np.ones(SHAPE[::-1], np.int16))), tmp_path / "v.nii"))
    assert not levels(volume, PercentileWindow()).any()


def test_windows_that_cannot_be_are_refused(tmp_path):
    volume = read_volume(save_all(series(Modality="MR"), tmp_path / "mr"))
    with pytest.raises(UnreadableImageError, match=r"a window in Hounsfield units: expected CT\. Received: MR"):
        levels(volume, HounsfieldWindow(40, 400))
    for make in (lambda: HounsfieldWindow(0, 0), lambda: HounsfieldWindow(np.nan, 1), lambda: PercentileWindow(50, 50)):
        with pytest.raises(UserError, match="expected"):
            make()


def test_every_file_of_a_tree_is_accounted_for(tmp_path):
    save_all(series(), tmp_path / "DOE" / "one")
    save_all(series(Modality="MR", SeriesInstanceUID=uid(2, 1))[:3], tmp_path / "DOE" / "two")
    save(dicom_file("1.2.840.10008.5.1.4.1.1.88.11", SeriesInstanceUID=uid(2, 5)), tmp_path / "report.dcm")
    (tmp_path / "a.dcm").write_bytes(b"DOE")
    (tmp_path / "README").write_bytes(b"DOE")
    (tmp_path / ".hidden").write_bytes(b"DOE")
    tree = series_in(tmp_path)
    assert {number: len(files) for number, files in tree.series.items()} == {1: 8, 2: 3}
    assert (len(tree.damaged), len(tree.without_pixels), len(tree.others), tree.found) == (1, 1, 1, 14)
    assert arranged(read_series(tree.series[2])).modality == "MR"


def test_reading_images_imports_no_library_of_volumes():
    code = (
        "import sys, kmedtl.images.read_volume, kmedtl.images.nifti, kmedtl.images.nifti_write,"
        "kmedtl.images.volume_window;"
        "print(*{'nibabel', 'highdicom', 'pydicom', 'tensorflow', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.real_data
def test_real_series_lie_where_their_tags_say_by_hand(real_data, tmp_path):
    """Against nibabel, from files converted by hand: columns, rows and slices, sorted by ImagePosition · normal."""
    folders = sorted((real_data / "dicom_series").glob("*/*"))
    assert len(folders) == 5
    for folder in folders:
        slices = [pydicom.dcmread(path) for path in folder.iterdir()]
        along_row, down_column = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
        normal = np.cross(along_row, down_column)
        slices.sort(key=lambda one: float(np.array(one.ImagePositionPatient, float) @ normal))
        first, last = (np.array(slices[end].ImagePositionPatient, float) for end in (0, -1))
        steps = (along_row * slices[0].PixelSpacing[1], down_column * slices[0].PixelSpacing[0])
        to_ras = np.diag([-1.0, -1, 1, 1])
        affine = np.eye(4)
        affine[:3] = np.stack([*steps, (last - first) / (len(slices) - 1), first], axis=1)
        values = np.stack([one.pixel_array for one in slices])
        nib.save(nib.Nifti1Image(values.transpose(2, 1, 0), to_ras @ affine), tmp_path / "v.nii")
        theirs, ours = nib.load(tmp_path / "v.nii"), read_volume(folder)
        assert np.array_equal(ours.values, np.asarray(theirs.dataobj).transpose(2, 1, 0)), folder.name
        assert np.allclose(ours.affine[:, [2, 1, 0, 3]], theirs.affine, rtol=0, atol=1e-6), folder.name  # mm
        assert np.allclose(ours.spacing[::-1], theirs.header.get_zooms(), rtol=0, atol=1e-6), folder.name
        assert ours.orientation[::-1] == "".join(nib.aff2axcodes(theirs.affine)), folder.name
        again = read_volume(tmp_path / "v.nii")
        assert np.array_equal(again.values, ours.values)


@pytest.mark.real_data
def test_real_nifti_is_read_as_nibabel_reads_it_with_its_masks(real_data, tmp_path):
    for path in sorted((real_data / "hippocampus" / "images").iterdir())[::15]:
        theirs, volume = nib.as_closest_canonical(nib.load(path)), read_volume(path)
        assert np.array_equal(volume.values, theirs.get_fdata(dtype=np.float32).transpose(2, 1, 0)[:, ::-1, ::-1])
        assert volume.spacing == tuple(theirs.header.get_zooms()[::-1])
        stored = nib.load(real_data / "hippocampus" / "labels" / path.name)
        labels = read_mask_volume(real_data / "hippocampus" / "labels" / path.name, volume)
        assert set(np.unique(labels)) == {0, 1, 2}
        write_nifti(labels, volume, tmp_path / "labels.nii.gz")
        written = nib.load(tmp_path / "labels.nii.gz")
        assert np.array_equal(np.asarray(written.dataobj), np.asarray(stored.dataobj))
        assert np.array_equal(written.affine, nib.load(path).affine)

"""DICOM Segmentations as masks of the volumes that their series are."""

import numpy as np
import pytest

from kmedtl.images.decode_masks import MaskedImage, decode_masks
from kmedtl.images.read_volume import read_volume
from kmedtl.images.reading import Reading
from kmedtl.images.workers import Failure
from tests.images.test_dicom_seg import write_seg
from tests.images.volume_files import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    SHAPE,
    enhanced,
    nifti_bytes,
    save,
    save_all,
    save_bytes,
    series,
    stored_values,
    uid,
)

UPSIDE_DOWN = (1, 0, 0, 0, -1, 0)  # slices run to the feet, rows to the front
STRUCTURES = {"high": 1, "low": 2}
READING = Reading(8, 1, aspect="keep")


def planes(values):
    """What is marked of stored values: `high` on all slices but two, `low` on one."""
    high, low = values > 150, np.zeros(values.shape, bool)
    high[[0, 5]] = False
    low[3] = values[3] < 40
    return {"high": high, "low": low}


def frames_of(marked, images):
    """The frames of a Segmentation: those alone that mark anything."""
    return [
        (number, mask[place], [images[place]])
        for number, mask in enumerate(marked.values(), 1)
        for place in range(len(mask))
        if mask[place].any()
    ]


def decoded(path, mask, count=SHAPE[0]):
    asked = [MaskedImage(str(path), (str(mask),), frame) for frame in range(count)]
    return list(decode_masks(asked, STRUCTURES, READING, "refuse"))


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, UPSIDE_DOWN])
def test_a_segmentation_marks_the_voxels_of_the_slices_that_it_refers_to(orientation, tmp_path):
    folder, values = save_all(series(orientation), tmp_path / "series"), stored_values()
    marked, images = planes(values), [uid(1, number) for number in range(SHAPE[0])]
    mask = write_seg(tmp_path / "seg.dcm", frames_of(marked, images), tuple(marked))
    volume = read_volume(folder)
    where = {number: np.argwhere(volume.values + 1024 == number) for number in values[marked["high"] | marked["low"]]}
    expected = {name: np.zeros(volume.values.shape, bool) for name in marked}
    for name, each in marked.items():
        for number in values[each]:
            expected[name][tuple(where[number].T)] = True
    answers = decoded(folder, mask)
    assert [answer.masks.areas for answer in answers] == [
        (expected["high"][index].sum(), expected["low"][index].sum()) for index in range(len(volume.values))
    ]
    found = np.stack([answer.masks.planes for answer in answers])
    assert found.any(axis=(1, 2)).tolist() == [
        [expected["high"][index].any(), expected["low"][index].any()] for index in range(len(volume.values))
    ]


def test_frames_of_one_enhanced_file_are_told_apart(tmp_path):
    order, values = (2, 0, 3, 4, 7, 5, 6, 1), stored_values()
    folder = tmp_path / "one"
    save(enhanced(order), folder / "a.dcm")
    marked = planes(values)
    images = [(uid(1, 0), 1 + order.index(place)) for place in range(SHAPE[0])]
    mask = write_seg(tmp_path / "seg.dcm", frames_of(marked, images), tuple(marked))
    assert [answer.masks.areas for answer in decoded(folder, mask)] == [
        (marked["high"][place].sum(), marked["low"][place].sum()) for place in range(SHAPE[0])
    ]


def test_segmentations_of_other_images_or_of_nifti_are_refused(tmp_path):
    folder = save_all(series(), tmp_path / "series")
    mask = write_seg(tmp_path / "seg.dcm", frames_of(planes(stored_values()), [uid(7, n) for n in range(SHAPE[0])]))
    for path, message in (
        (folder, "a DICOM Segmentation of other images"),
        (save_bytes(nifti_bytes(), tmp_path / "v.nii"), "a DICOM Segmentation, and the volume is no DICOM"),
    ):
        (answer, *_) = decoded(path, mask)
        assert isinstance(answer, Failure)
        assert message in answer.reason

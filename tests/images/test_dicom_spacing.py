"""Pixel spacing as DICOM files state it, and what states none."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from kmedtl.data import store
from kmedtl.images.decode import decode
from kmedtl.images.read_image import read_image
from kmedtl.images.reading import Reading
from tests.data.sources.test_dicom_tree import write_dicom
from tests.images.test_dicom import put

READING = Reading(40, 1)


def spacing(path, frame=None):
    picture = read_image(path, READING, frame)
    return picture.row_spacing, picture.column_spacing


def groups(**tags):
    group, measures = Dataset(), Dataset()
    for name, value in tags.items():
        setattr(measures, name, value)
    group.PixelMeasuresSequence = [measures]
    return group


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, (0, 0)),
        ({"PixelSpacing": [0.5, 0.25]}, (0.5, 0.25)),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1)),
        ({"PixelSpacing": [0.5, 0.25], "ImagerPixelSpacing": [0.2, 0.1]}, (0.5, 0.25)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1)),
        ({"PixelSpacing": [-1, 1]}, (0, 0)),
        ({"PixelSpacing": None}, (0, 0)),
        ({"NominalScannedPixelSpacing": [0.2, 0.1]}, (0, 0)),
    ],
)
def test_spacing_is_what_the_tags_say(tmp_path, tags, expected):
    path = tmp_path / "a.dcm"
    write_dicom(path, 0, **tags)
    assert spacing(path) == expected


@pytest.mark.parametrize(("text", "expected"), [("0,5\\0,25", (0.5, 0.25)), ("wide", (0, 0)), ("0.5", (0, 0))])
def test_a_spacing_of_any_text_leaves_the_image_readable(tmp_path, text, expected):
    path = tmp_path / "a.dcm"
    write_dicom(path, 0)
    put(path, PixelSpacing=text)
    assert spacing(path) == expected


def test_functional_groups_count_a_frames_own_before_the_shared_ones(tmp_path):
    path = tmp_path / "a.dcm"
    each = [groups(PixelSpacing=[number + 1, number + 2]) for number in range(3)]
    write_dicom(path, 0, frames=3, PerFrameFunctionalGroupsSequence=each)
    assert [spacing(path, frame) for frame in (0, 1, 2, None)] == [(1, 2), (2, 3), (3, 4), (2, 3)]
    shared = [groups(PixelSpacing=[7, 8])]
    write_dicom(path, 0, frames=3, SharedFunctionalGroupsSequence=shared, PixelSpacing=[1, 1])
    assert spacing(path) == (7, 8)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_the_dots_per_inch_of_other_formats_are_a_printers(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(path, dpi=(254, 254))
    assert spacing(path) == (0, 0)


def test_the_store_keeps_it_also_of_what_it_copies(tmp_path):
    write_dicom(tmp_path / "a.dcm", 0, PixelSpacing=[0.143, 0.1])
    write_dicom(tmp_path / "b.dcm", 1)
    facts, _ = decode((str(tmp_path / "a.dcm"), None), READING)
    assert (facts.row_spacing, facts.column_spacing, facts.width) == (0.143, 0.1, 40)
    for names in (["a.dcm"], ["a.dcm", "b.dcm"]):
        table = _table(tmp_path, *names)
        found = store.prepare(table, READING).facts.set_index("id")
        assert tuple(found.loc["a.dcm", ["row_spacing", "column_spacing"]]) == (0.143, 0.1)
    assert tuple(found.loc["b.dcm", ["row_spacing", "column_spacing"]]) == (0, 0)


def _table(folder, *names):
    return pd.DataFrame({"id": names, "path": [str(folder / name) for name in names], "frame": ""})
